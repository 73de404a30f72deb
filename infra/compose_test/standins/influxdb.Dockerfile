# Stands in for InfluxDB 2: 1.8.10 with users, which takes the same writes and answers the same InfluxQL.
FROM python:3.11.13-slim-bookworm
COPY influxd /usr/local/bin/influxd
COPY influx.py /usr/local/bin/influx
COPY influxdb.py /usr/local/bin/influxdb-stand-in
RUN chmod 755 /usr/local/bin/*
ENTRYPOINT ["influxdb-stand-in"]
