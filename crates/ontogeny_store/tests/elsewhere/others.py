"""Reads a store with DuckDB and with Polars, and compares every bit with what our own reader said.

usage: others.py STORE EXPECTED.json, where STORE is a folder or s3://...; the server is that of AWS_ENDPOINT_URL.
Prints what read what. Ends with 1 at the first difference.
"""

import json
import os
import sys

import duckdb
import numpy as np
import polars as pl

store, expected = sys.argv[1], json.load(open(sys.argv[2]))
is_remote = "://" in store
endpoint = os.environ.get("AWS_ENDPOINT_URL", "")


def check(what, found, wanted):
    if found != wanted:
        for a, b in zip(found, wanted):
            if a != b:
                sys.exit(f"{what}: {a} where {b} was written")
        sys.exit(f"{what}: {len(found)} rows where {len(wanted)} were written")
    print(f"{what}: {len(found)} rows are equal")


def bits(values):
    """The bits of doubles: NaNs are told from one another."""
    return [int(b) for b in np.asarray(values, dtype=np.float64).view(np.uint64)]


def f32_bits(values):
    return [int(b) for b in np.asarray(values, dtype=np.float32).view(np.uint32)]


def connect():
    """DuckDB, and how it reaches the store."""
    con = duckdb.connect()
    if not is_remote:
        return con, "DuckDB from disk"
    try:
        con.execute("install httpfs")
        con.execute("load httpfs")
    except duckdb.Error:
        import fsspec

        con.register_filesystem(fsspec.filesystem("s3", endpoint_url=endpoint))
        return con, "DuckDB from S3 through fsspec"
    host = endpoint.removeprefix("http://")
    con.execute(
        f"create secret (type s3, key_id 'test', secret 'test', region 'us-east-1', endpoint '{host}', "
        "url_style 'path', use_ssl false)"
    )
    return con, "DuckDB from S3 through httpfs"


def with_duckdb():
    con, how = connect()
    glob = f"{store}/runs/*/metrics/*.parquet"
    # Every row of every segment, as they lie there.
    n = con.execute(f"select count(*) from '{glob}'").fetchone()[0]
    check(f"{how}, all rows", [n], [expected["n_sealed_rows"]])
    # The query of docs/store-format.md.
    counts = f"""
        select run, step, name, unit, value
        from read_parquet('{glob}', filename = true, file_row_number = true)
        qualify row_number() over (partition by run, name, step order by filename desc, file_row_number desc) = 1
    """
    found = con.execute(f"select * from ({counts}) order by run, name, step").fetchnumpy()
    found = list(
        zip(*(found[c].tolist() for c in ("run", "name", "unit", "step")), bits(found["value"]))
    )
    check(f"{how}, rows that count", [list(f) for f in found], expected["rows"])
    # The same without what going back has made void.
    without_void = f"""
        with cuts as (
            select file_name as f, decode(value)::bigint as cut from parquet_kv_metadata('{glob}')
            where decode(key) = 'ontogeny.cut'
        ), rows as (
            select * from read_parquet('{glob}', filename = true, file_row_number = true) t
            where not exists (
                from cuts where parse_path(f)[:-2] = parse_path(t.filename)[:-2] and f > t.filename and t.step > cut
            )
        )
        select run, step, name, unit, value from rows
        qualify row_number() over (partition by run, name, step order by filename desc, file_row_number desc) = 1
    """
    found = con.execute(f"select * from ({without_void}) order by run, name, step").fetchnumpy()
    found = list(
        zip(*(found[c].tolist() for c in ("run", "name", "unit", "step")), bits(found["value"]))
    )
    check(f"{how}, without void rows", [list(f) for f in found], expected["rows_without_void"])
    tensors = con.execute(
        f"select run, name, step, shape, \"values\", values_f64 from '{store}/runs/*/tensors/*.parquet' "
        "order by run, name, step"
    ).fetchall()
    found = [[r, n, s, list(shape), f32_bits(v), bits(w)] for r, n, s, shape, v, w in tensors]
    check(f"{how}, vectors", found, expected["vectors"])
    events = con.execute(
        f"select run, name, series, detector, lo, hi, horizon, evidence from '{store}/runs/*/events.parquet' "
        "order by run, name"
    ).fetchall()
    check(f"{how}, events", [list(e) for e in events], expected["events"])


def with_polars():
    how = "Polars from S3" if is_remote else "Polars from disk"
    options = None
    if is_remote:
        options = {
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "aws_region": "us-east-1",
            "aws_endpoint_url": endpoint,
            "aws_allow_http": "true",
        }

    def scan(files, **more):
        return pl.scan_parquet(f"{store}/runs/*/{files}", storage_options=options, **more)

    rows = scan("metrics/*.parquet", include_file_paths="file", row_index_name="file_row").collect()
    check(f"{how}, all rows", [rows.height], [expected["n_sealed_rows"]])
    # The last file counts, and in it the last row.
    last = rows.sort("file", "file_row").unique(["run", "name", "step"], keep="last", maintain_order=True)
    last = last.sort("run", "name", "step")
    values = bits(last["value"].to_numpy())
    found = [
        [*row, b] for row, b in zip(last.select("run", "name", "unit", "step").rows(), values)
    ]
    check(f"{how}, rows that count", found, expected["rows"])
    vectors = scan("tensors/*.parquet").sort("run", "name", "step").collect()
    found = [
        [r["run"], r["name"], r["step"], r["shape"], f32_bits(r["values"]), bits(r["values_f64"])]
        for r in vectors.to_dicts()
    ]
    check(f"{how}, vectors", found, expected["vectors"])
    columns = ["run", "name", "series", "detector", "lo", "hi", "horizon", "evidence"]
    events = scan("events.parquet").select(columns).sort("run", "name").collect()
    check(f"{how}, events", [list(e) for e in events.rows()], expected["events"])


with_duckdb()
with_polars()
