"""The web server of the dashboard: pages, `/api`, `/metrics`, and who may ask for them."""
