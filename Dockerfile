# One image for every process of Candlekeep; what it does is its command (`manage.py run NAME`).
FROM python:3.13.9-slim-trixie AS build
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt

FROM python:3.13.9-slim-trixie
RUN useradd --system --uid 10001 --home-dir /var/lib/candlekeep --create-home candlekeep \
 && install -d -o candlekeep -g candlekeep /var/lib/candlekeep/metrics
COPY --from=build /opt/venv /opt/venv
COPY . /opt/candlekeep
RUN python -m compileall -q /opt/candlekeep
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CANDLEKEEP_HOME=/var/lib/candlekeep \
    LOG_FORMAT=json
WORKDIR /opt/candlekeep
USER candlekeep
ENTRYPOINT ["python", "manage.py"]
CMD ["run", "web"]
