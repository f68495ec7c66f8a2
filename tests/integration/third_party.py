"""A provider of another package, as pip would have installed it: a folder for PYTHONPATH."""

from pathlib import Path


def install(folder: Path, name: str, code: str, *, provider: str, target: str | None) -> Path:
    """A package `acme-NAME` whose module has the provider and the target, registered as NAME."""
    folder.mkdir(parents=True, exist_ok=True)
    module = f"acme_{name}"
    (folder / f"{module}.py").write_text(code)
    points = f"[poolwright.providers]\n{name} = {module}:{provider}\n"
    if target is not None:
        points += f"\n[poolwright.targets]\n{name} = {module}:{target}\n"
    metadata = folder / f"{module}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text(points)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.2\n"
        "Provides-Extra: rocket\nRequires-Dist: rocket-fuel>=3 ; extra == 'rocket'\n"
    )
    return folder
