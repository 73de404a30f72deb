#!/bin/sh
# Run by InfluxDB's image when it sets itself up: Grafana gets a user who may read the bucket and nothing else.
set -eu
influx v1 auth create --org "$DOCKER_INFLUXDB_INIT_ORG" --read-bucket "$DOCKER_INFLUXDB_INIT_BUCKET_ID" \
    --username "$INFLUXDB_READER" --password="$INFLUXDB_READER_PASSWORD" >/dev/null
