"""The dashboards of VARServe, as code; ../make_dashboards.py writes them as JSON."""
