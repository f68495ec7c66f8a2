"""Past need → quantiles of the need to come, by several models and their own backtest. Pure."""
