"""The imperative shell: ports, replica, stores, and the application behind them."""
