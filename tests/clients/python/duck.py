"""DuckDB's httpfs reading a Parquet file by ranges. Ends with 77 when its extension cannot be had."""
import os
import sys

import duckdb

from common import BUCKET, ENDPOINT, PREFIX, same

db = duckdb.connect()
try:
    db.execute("INSTALL httpfs; LOAD httpfs")
except duckdb.Error as error:
    print(str(error).splitlines()[0])
    sys.exit(77)
db.execute(f"""CREATE SECRET (TYPE s3, KEY_ID '{os.environ['AWS_ACCESS_KEY_ID']}',
  SECRET '{os.environ['AWS_SECRET_ACCESS_KEY']}', REGION '{os.environ['AWS_DEFAULT_REGION']}',
  ENDPOINT '{ENDPOINT.split('//')[1]}', URL_STYLE 'path', USE_SSL false)""")
url = f"s3://{BUCKET}/{PREFIX}numbers.parquet"
db.execute(f"COPY (SELECT i, i * i AS square FROM range(200000) t(i)) TO '{url}'")
for _ in range(2):
    same("sum", db.sql(f"SELECT sum(square), count(*) FROM '{url}'").fetchone(),
         (sum(i * i for i in range(200000)), 200000))
same("glob", db.sql(f"SELECT count(*) FROM '{url.replace('numbers', '*')}'").fetchone(), (200000,))
