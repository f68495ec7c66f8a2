"""The HTML page of a backtest: one file, no script, no network; charts are inline SVG."""
