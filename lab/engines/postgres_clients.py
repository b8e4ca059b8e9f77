"""How data engineers send SQL to PostgreSQL: one short program a client. ``{sql}`` is the scenario's statement."""

from __future__ import annotations

CLIENTS = {
    "psycopg": '''
import psycopg

def load():
    with psycopg.connect("$dsn") as connection:
        print(connection.execute(r"""{sql}""").statusmessage)

load()
''',
    "psycopg2": '''
import psycopg2

connection = psycopg2.connect(host="$host", port=$port, dbname="$database", user="$user", password="$password")
cursor = connection.cursor()
cursor.execute(r"""{sql}""")
connection.commit()
print(cursor.rowcount, "rows")
''',
    "asyncpg": '''
import asyncio
import asyncpg

async def main():
    connection = await asyncpg.connect("$url")
    try:
        print(await connection.execute(r"""{sql}"""))
    finally:
        await connection.close()

asyncio.run(main())
''',
    "sqlalchemy": '''
from sqlalchemy import create_engine, text

engine = create_engine("$url".replace("postgresql", "postgresql+psycopg2"))
with engine.begin() as connection:
    done = connection.execute(text(r"""{sql}"""))
    print(done.rowcount, "rows affected")
''',
    "sqlalchemy-psycopg": '''
from sqlalchemy import create_engine

def execute(statement):
    with create_engine("$url".replace("postgresql", "postgresql+psycopg")).begin() as connection:
        return connection.exec_driver_sql(statement)

execute(r"""{sql}""")
''',
    "pandas": '''
import pandas
from sqlalchemy import create_engine, text

with create_engine("$url").connect() as connection:
    frame = pandas.read_sql(text(r"""{sql}"""), connection)
print(len(frame), "rows read")
''',
    "psql": '''
import os

command = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", r"""{sql}""", "$url"]
os.execv("$bin/psql", command)
''',
    "psql-file": '''
import os

with open("step.sql", "w") as file:
    file.write(r"""{sql};""")
os.execv("$bin/psql", ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-f", "step.sql", "-d", "$url"])
''',
    "psql-verbose": '''
import os

os.execv("$bin/psql", ["psql", "-X", "-a", "-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=1", "-c", r"""{sql}""", "$url"])
''',
}
NO_WRAP = ("psql", "psql-file", "psql-verbose")
"""These replace the Python process: nothing can be raised around them."""
