"""The edge: one HAProxy per server that leads all traffic of all apps, and never drops a request at a release."""
