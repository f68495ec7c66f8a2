"""The page's style: light, and dark where the reader's system is."""

from typing import Final

COLOURS: Final = {
    "poolwright": ("#1f6feb", "#5aa2ff"),
    "baseline": ("#8250df", "#b392f0"),
    "clairvoyant": ("#d97e00", "#f5b041"),
    "hpa": ("#0c8f7e", "#3ecfb9"),
    "kpa": ("#d6336c", "#ff7ba8"),
    "ray": ("#5f8f12", "#a3d34f"),
    "skyserve": ("#2b93c4", "#6fd0fb"),
    "dynamo": ("#8a6320", "#d2a860"),
    "wva": ("#a33c96", "#e58ad8"),
    "static": ("#6b7280", "#a9b1bd"),
}
"""Of each contender, on light and on dark ground."""

LIGHT: Final = (
    "--ground:#f4f6f8;--card:#fff;--ink:#1b2127;--quiet:#5f6974;--rule:#dce1e6;--grid:#e9edf0;"
    "--good:#17804f;--bad:#cf3a33;"
)
DARK: Final = (
    "--ground:#0e1318;--card:#161c23;--ink:#e6e9ed;--quiet:#9aa4af;--rule:#2c353f;--grid:#232b34;"
    "--good:#45c08b;--bad:#f2776f;"
)
SHEET: Final = """
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1120px;margin:0 auto;padding:36px 24px 60px}
h1{font-size:27px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:20px;margin:40px 0 4px}
h3{font-size:15px;margin:0 0 2px}
p{margin:0 0 10px}
.quiet{color:var(--quiet)}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:16px 18px 12px;margin:14px 0;overflow-x:auto}
.card>p{color:var(--quiet);font-size:13.5px;max-width:86ch}
.verdict{font-size:17px;margin:14px 0 4px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13.5px}
th,td{padding:6px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th{font-weight:600;color:var(--quiet);font-size:12.5px;vertical-align:bottom;white-space:pre-line}
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}
tbody tr:last-child td{border-bottom:0}
tr.ours td{font-weight:650;background:color-mix(in srgb,var(--poolwright) 9%,transparent)}
tr.misses td{color:var(--quiet)}
td.setting{white-space:normal;min-width:150px}
td.good{color:var(--good)}.bad,tr.misses td.bad{color:var(--bad);font-weight:600}
.swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px;
background:var(--c)}
.fails{border-color:var(--bad)}
ul{margin:6px 0;padding-left:20px}
svg{display:block;width:100%;min-width:640px;height:auto;overflow:visible}
svg text{font-size:12px;fill:var(--quiet)}
svg .unit{font-size:12px;fill:var(--quiet)}
.grid{stroke:var(--grid);stroke-width:1;fill:none}
.axis{stroke:var(--quiet);stroke-width:1;fill:none;opacity:.55}
.demand{fill:var(--ink);fill-opacity:.24}
.peak{fill:none;stroke:var(--quiet);stroke-width:1;opacity:.75}
.band{fill:var(--poolwright);fill-opacity:.16}
.upper{fill:none;stroke:var(--poolwright);stroke-width:1;opacity:.55}
.expected{fill:none;stroke:var(--poolwright);stroke-width:1.6;stroke-dasharray:5 3}
.need{fill:none;stroke:var(--ink);stroke-width:1.3;opacity:.8}
.ready{fill:var(--c);fill-opacity:.2}
.starting{fill:var(--c);fill-opacity:.13}
.series{fill:none;stroke:var(--c);stroke-width:1.5;stroke-linejoin:round}
.series.poolwright{stroke-width:2}
.series.clairvoyant{stroke-width:2}
.mark{fill:var(--c);stroke:var(--card);stroke-width:1.2}
.mark:hover{stroke:var(--ink)}
.strip{fill:var(--good);fill-opacity:.13}
.missed{fill:var(--bad)}
.kept{fill:var(--good);fill-opacity:.07}
.goal{stroke:var(--good);stroke-width:1.4;stroke-dasharray:6 4;fill:none}
.tried{fill:var(--c);fill-opacity:.42}
.chosen{fill:var(--c);stroke:var(--card);stroke-width:1.6}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;margin:6px 0 4px;
color:var(--quiet)}
.legend label{cursor:pointer}
.legend label,.legend span{display:inline-flex;align-items:center}
.legend input{margin:0 6px 0 0;accent-color:var(--c)}
.line{display:inline-block;width:18px;height:0;border-top:2px solid var(--c);margin-right:7px}
.line.dashed{border-top-style:dashed}
.box{display:inline-block;width:18px;height:11px;background:var(--c);margin-right:7px;
border-radius:2px}
footer{color:var(--quiet);font-size:13px;margin-top:36px}
code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
"""


def style() -> str:
    light = "".join(f"--{name}:{colours[0]};" for name, colours in COLOURS.items())
    dark = "".join(f"--{name}:{colours[1]};" for name, colours in COLOURS.items())
    # A box of the legend that is not ticked hides its contender in the chart below it.
    names = "".join(
        f".{name}{{--c:var(--{name})}}"
        f".card:has(input.{name}:not(:checked)) svg .{name}{{display:none}}"
        for name in COLOURS
    )
    return (
        f":root{{color-scheme:light dark;{LIGHT}{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{DARK}{dark}}}}}{SHEET}{names}"
    )
