# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Debian packages that known dependencies need in order to build or run. Only data; checked against bookworm."""

from __future__ import annotations

from typing import Dict, Tuple

Packages = Dict[str, Tuple[str, ...]]

NODE: Packages = {
    "canvas": ("build-essential", "libcairo2-dev", "libpango1.0-dev", "libjpeg-dev", "libgif-dev", "librsvg2-dev"),
    "sharp": ("libvips-dev",),
    "bcrypt": ("build-essential", "python3"),
    "argon2": ("build-essential", "python3"),
    "sqlite3": ("build-essential", "python3"),
    "better-sqlite3": ("build-essential", "python3"),
    "node-gyp": ("build-essential", "python3"),
    "node-addon-api": ("build-essential", "python3"),
    "nan": ("build-essential", "python3"),
    "node-pty": ("build-essential", "python3"),
    "node-rdkafka": ("build-essential", "python3", "librdkafka-dev"),
    "node-sass": ("build-essential", "python3"),
    "pg-native": ("build-essential", "libpq-dev", "python3"),
    "libpq": ("build-essential", "libpq-dev", "python3"),
    "oracledb": ("libaio1",),
    "puppeteer": ("chromium",),
    "gm": ("graphicsmagick",),
    "imagemagick": ("imagemagick",),
    "fluent-ffmpeg": ("ffmpeg",),
    "usb": ("build-essential", "libudev-dev", "python3"),
    "serialport": ("build-essential", "python3"),
    "zeromq": ("libzmq3-dev",),
    "kerberos": ("build-essential", "libkrb5-dev", "python3"),
    "@napi-rs/canvas": (),
    "prisma": ("openssl",),
    "@prisma/client": ("openssl",),
}

PYTHON: Packages = {
    "psycopg2": ("build-essential", "libpq-dev"),
    "mysqlclient": ("build-essential", "default-libmysqlclient-dev", "pkg-config"),
    "pillow": ("libjpeg-dev", "zlib1g-dev"),
    "pillow-simd": ("build-essential", "libjpeg-dev", "zlib1g-dev"),
    "lxml": ("build-essential", "libxml2-dev", "libxslt1-dev"),
    "cryptography": (),
    "python-ldap": ("build-essential", "libldap2-dev", "libsasl2-dev"),
    "pycurl": ("build-essential", "libcurl4-openssl-dev", "libssl-dev"),
    "pyodbc": ("build-essential", "unixodbc-dev"),
    "pymssql": ("build-essential", "freetds-dev"),
    "pygraphviz": ("build-essential", "graphviz", "libgraphviz-dev"),
    "graphviz": ("graphviz",),
    "weasyprint": ("libpango-1.0-0", "libpangoft2-1.0-0"),
    "cairosvg": ("libcairo2",),
    "pycairo": ("build-essential", "libcairo2-dev", "pkg-config"),
    "pygobject": ("build-essential", "libgirepository1.0-dev", "libcairo2-dev"),
    "opencv-python": ("libgl1", "libglib2.0-0"),
    "python-magic": ("libmagic1",),
    "pytesseract": ("tesseract-ocr",),
    "pdf2image": ("poppler-utils",),
    "pydub": ("ffmpeg",),
    "ffmpeg-python": ("ffmpeg",),
    "moviepy": ("ffmpeg",),
    "pyaudio": ("build-essential", "portaudio19-dev"),
    "soundfile": ("libsndfile1",),
    "librosa": ("libsndfile1",),
    "h5py": ("libhdf5-dev",),
    "netcdf4": ("libnetcdf-dev",),
    "gdal": ("build-essential", "gdal-bin", "libgdal-dev"),
    "geopandas": ("gdal-bin",),
    "rtree": ("libspatialindex-dev",),
    "django-contrib-gis": ("gdal-bin",),
    "python-snappy": ("libsnappy-dev",),
    "confluent-kafka": ("librdkafka-dev",),
    "uwsgi": ("build-essential",),
    "gssapi": ("build-essential", "libkrb5-dev"),
    "xmlsec": ("build-essential", "libxmlsec1-dev", "pkg-config"),
    "python3-saml": ("libxmlsec1-dev", "pkg-config"),
    "pysqlcipher3": ("build-essential", "libsqlcipher-dev"),
    "pyzbar": ("libzbar0",),
    "pyscard": ("build-essential", "libpcsclite-dev", "swig"),
    "grpcio": ("build-essential",),
    "ta-lib": ("build-essential",),
    "cffi": ("libffi-dev",),
}

RUBY: Packages = {
    "pg": ("libpq-dev",),
    "mysql2": ("default-libmysqlclient-dev",),
    "sqlite3": ("libsqlite3-dev",),
    "nokogiri": ("libxml2-dev", "libxslt1-dev", "pkg-config"),
    "rmagick": ("imagemagick", "libmagickwand-dev"),
    "mini_magick": ("imagemagick",),
    "image_processing": ("libvips",),
    "ruby-vips": ("libvips",),
    "curb": ("libcurl4-openssl-dev",),
    "ffi": ("libffi-dev",),
    "charlock_holmes": ("libicu-dev",),
    "rugged": ("cmake", "pkg-config"),
    "tiny_tds": ("freetds-dev",),
    "idn-ruby": ("libidn-dev",),
    "psych": ("libyaml-dev",),
    "rails": ("libyaml-dev",),
    "grpc": ("build-essential",),
    "puppeteer-ruby": ("chromium",),
    "wkhtmltopdf-binary": ("fontconfig", "libxrender1", "libxext6"),
}

#: PHP extensions as `ext-*` requirements -> packages that building them needs.
PHP: Packages = {
    "ext-gd": ("libfreetype-dev", "libjpeg-dev", "libpng-dev"),
    "ext-intl": ("libicu-dev",),
    "ext-zip": ("libzip-dev",),
    "ext-pgsql": ("libpq-dev",),
    "ext-pdo_pgsql": ("libpq-dev",),
    "ext-imagick": ("libmagickwand-dev",),
    "ext-soap": ("libxml2-dev",),
    "ext-xsl": ("libxslt1-dev",),
    "ext-gmp": ("libgmp-dev",),
    "ext-ldap": ("libldap2-dev",),
    "ext-memcached": ("libmemcached-dev",),
}

GO: Packages = {
    "github.com/mattn/go-sqlite3": ("build-essential",),
    "github.com/confluentinc/confluent-kafka-go": ("build-essential", "librdkafka-dev"),
    "github.com/h2non/bimg": ("libvips-dev",),
    "github.com/davidbyttow/govips": ("libvips-dev",),
    "gopkg.in/gographics/imagick.v3": ("libmagickwand-dev",),
    "github.com/google/gopacket": ("libpcap-dev",),
    "github.com/libgit2/git2go": ("libgit2-dev", "pkg-config"),
    "github.com/go-gl/gl": ("libgl1-mesa-dev", "xorg-dev"),
    "gocv.io/x/gocv": ("libopencv-dev",),
}

RUST: Packages = {
    "openssl": ("libssl-dev", "pkg-config"),
    "openssl-sys": ("libssl-dev", "pkg-config"),
    "native-tls": ("libssl-dev", "pkg-config"),
    "diesel": ("libpq-dev",),
    "pq-sys": ("libpq-dev",),
    "tonic": ("protobuf-compiler",),
    "tonic-build": ("protobuf-compiler",),
    "prost-build": ("protobuf-compiler",),
    "rdkafka": ("cmake", "libssl-dev"),
    "alsa": ("libasound2-dev",),
    "bevy": ("libasound2-dev", "libudev-dev", "pkg-config"),
    "tauri": ("libwebkit2gtk-4.1-dev", "libssl-dev", "libayatana-appindicator3-dev", "librsvg2-dev"),
    "gtk": ("libgtk-3-dev",),
    "gtk4": ("libgtk-4-dev",),
    "bindgen": ("clang", "libclang-dev"),
    "sdl2": ("libsdl2-dev",),
    "git2": ("libssl-dev", "pkg-config"),
}
