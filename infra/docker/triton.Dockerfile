# Triton with what the demo models need inside it: onnxruntime for the super-resolution model.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:24.10-py3
FROM ${TRITON_IMAGE}
RUN pip install --no-cache-dir onnxruntime==1.20.1 "numpy==1.26.4"
USER 1000:1000
