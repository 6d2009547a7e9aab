# The chat page on any host. The model is baked in (models/pocket) or mounted:
#   docker build -t gpt2-chat .
#   docker run -p 7860:7860 gpt2-chat
#   docker run -p 7860:7860 -v ./final_model:/app/final_model:ro gpt2-chat
FROM python:3.12-slim

# Where feedback and exported models are kept, also when a volume comes to lie there.
RUN useradd --create-home --uid 1000 chat \
    && mkdir -p /app/feedback /home/chat/.cache \
    && chown -R chat:chat /app/feedback /home/chat/.cache
WORKDIR /app
# The CPU build of PyTorch: the default one brings gigabytes for GPUs.
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY app.py ./
COPY chat chat/
COPY models/pocket models/pocket/

USER chat
ENV GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_ANALYTICS_ENABLED=False \
    FEEDBACK_FOLDER=/app/feedback \
    PYTHONUNBUFFERED=1
EXPOSE 7860
VOLUME ["/app/feedback", "/home/chat/.cache"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=600s \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ[\"GRADIO_SERVER_PORT\"]}/health', timeout=4)"]
CMD ["python", "app.py"]
