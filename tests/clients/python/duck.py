"""DuckDB's httpfs reading and writing Parquet by ranges and in parts.

The extension comes as a Python package; DuckDB itself checks its signature when it loads it.
"""
import os
import pathlib

import duckdb
import duckdb_extension_httpfs

from common import BUCKET, ENDPOINT, PREFIX, WORK, same

ROWS = 400_000
SECURE = ENDPOINT.startswith("https:")
db = duckdb.connect(config={"extension_directory": WORK})
folder = pathlib.Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
db.execute(f"INSTALL '{folder / 'httpfs.duckdb_extension'}'; LOAD httpfs")
db.execute(f"""CREATE SECRET (TYPE s3, KEY_ID '{os.environ['AWS_ACCESS_KEY_ID']}',
  SECRET '{os.environ['AWS_SECRET_ACCESS_KEY']}', REGION '{os.environ['AWS_DEFAULT_REGION']}',
  ENDPOINT '{ENDPOINT.split('//')[1]}', URL_STYLE 'path', USE_SSL {str(SECURE).lower()})""")
if SECURE:
    db.execute(f"SET ca_cert_file = '{os.environ['AWS_CA_BUNDLE']}'; SET enable_server_cert_verification = true")


def one(query):
    return db.sql(query).fetchone()


def at(name):
    return f"s3://{BUCKET}/{PREFIX}{name}"


table = f"SELECT i, i * i AS square, sha256(i::VARCHAR) AS noise FROM range({ROWS}) t(i)"
db.execute(f"COPY ({table}) TO '{at('numbers.parquet')}'")  # some 17 MB: an upload in parts
for _ in range(2):  # misses, then hits
    same("sum", one(f"SELECT sum(square), count(*) FROM '{at('numbers.parquet')}'"),
         (sum(i * i for i in range(ROWS)), ROWS))
same("every row", one(f"SELECT count(*) FROM (({table}) EXCEPT SELECT * FROM '{at('numbers.parquet')}')"),
     (0,))
same("one row, by ranges", one(f"SELECT noise FROM '{at('numbers.parquet')}' WHERE i = 77777"),
     one("SELECT sha256('77777')"))
db.execute(f"COPY (SELECT i, i % 3 AS third FROM range(3000) t(i)) TO '{at('parts')}' "
           "(FORMAT parquet, PARTITION_BY third)")
same("glob", one(f"SELECT count(*), count(DISTINCT third) FROM '{at('parts/*/*.parquet')}'"), (3000, 3))
db.execute(f"COPY (SELECT 1 AS a) TO '{at('numbers.parquet')}'")  # over what was read before
db.execute("SET enable_external_file_cache = false")
same("overwritten", one(f"SELECT a FROM '{at('numbers.parquet')}'"), (1,))
try:
    one(f"SELECT * FROM '{at('none.parquet')}'")
    raise SystemExit("an object that never was was read")
except duckdb.HTTPException as error:
    same("absent", error.status_code, 404)
