# Stands in for NVIDIA's image: Triton from the Python package, under the same command.
FROM triton-users:embedded
USER root
COPY tritonserver.py /usr/local/bin/tritonserver
RUN chmod 755 /usr/local/bin/tritonserver
USER 10001:10001
ENTRYPOINT []
