# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Well-known service images. Only data."""

from __future__ import annotations

from typing import Dict, Tuple

#: Last part of the image's name -> ports that it listens on.
PORTS: Dict[str, Tuple[int, ...]] = {
    "postgres": (5432,),
    "postgis": (5432,),
    "pgvector": (5432,),
    "timescaledb": (5432,),
    "mysql": (3306,),
    "mariadb": (3306,),
    "percona": (3306,),
    "redis": (6379,),
    "redis-stack": (6379,),
    "redis-stack-server": (6379,),
    "valkey": (6379,),
    "keydb": (6379,),
    "memcached": (11211,),
    "mongo": (27017,),
    "mongodb": (27017,),
    "rabbitmq": (5672,),
    "nats": (4222,),
    "kafka": (9092,),
    "cp-kafka": (9092,),
    "redpanda": (9092,),
    "zookeeper": (2181,),
    "cp-zookeeper": (2181,),
    "elasticsearch": (9200,),
    "opensearch": (9200,),
    "meilisearch": (7700,),
    "typesense": (8108,),
    "qdrant": (6333,),
    "weaviate": (8080,),
    "chroma": (8000,),
    "minio": (9000,),
    "localstack": (4566,),
    "clickhouse-server": (8123, 9000),
    "cassandra": (9042,),
    "neo4j": (7474, 7687),
    "influxdb": (8086,),
    "cockroach": (26257,),
    "dynamodb-local": (8000,),
    "mailhog": (1025, 8025),
    "mailpit": (1025, 8025),
    "maildev": (1025, 1080),
    "keycloak": (8080,),
    "vault": (8200,),
    "consul": (8500,),
    "etcd": (2379,),
    "jaeger": (16686,),
    "all-in-one": (16686,),
    "prometheus": (9090,),
    "grafana": (3000,),
    "nginx": (80,),
    "traefik": (80,),
    "caddy": (80,),
    "adminer": (8080,),
    "pgadmin4": (80,),
    "phpmyadmin": (80,),
    "server": (1433,),
    "solr": (8983,),
    "activemq": (61616,),
    "temporal": (7233,),
    "auto-setup": (7233,),
    "selenium": (4444,),
    "ollama": (11434,),
}

#: Variables without which an image does not start.
PASSWORDS: Dict[str, Tuple[str, ...]] = {
    "postgres": ("POSTGRES_PASSWORD",),
    "postgis": ("POSTGRES_PASSWORD",),
    "pgvector": ("POSTGRES_PASSWORD",),
    "mysql": ("MYSQL_ROOT_PASSWORD", "MYSQL_PASSWORD"),
    "mariadb": ("MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD", "MYSQL_PASSWORD"),
}
