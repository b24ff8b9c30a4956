# SPDX-License-Identifier: MPL-2.0
# docker build -t ddcp .
# docker run -v $(pwd)/data:/data ddcp init
FROM debian:bookworm AS build
COPY . /src
WORKDIR /src
RUN YES=1 tools/packages build && \
    meson setup /build --prefix=/usr --buildtype=release -Dtests=disabled && \
    DESTDIR=/out meson install -C /build

FROM debian:bookworm-slim
RUN apt-get update -q && apt-get install -y --no-install-recommends \
    sqlite3 libuv1 libssl3 libsodium23 libzstd1 libjansson4 && \
    rm -rf /var/lib/apt/lists/*
COPY --from=build /out /
VOLUME /data
WORKDIR /data
EXPOSE 4433
ENTRYPOINT ["ddcp"]
