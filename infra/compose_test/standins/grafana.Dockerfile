# Stands in for Grafana: an HTTP server that shows which provisioning files it was given.
FROM python:3.11.13-slim-bookworm
COPY grafana.py /usr/local/bin/grafana-stand-in
COPY wget.py /usr/local/bin/wget
RUN chmod 755 /usr/local/bin/*
ENTRYPOINT ["grafana-stand-in"]
