"""Run migrations on the database of DATABASE_URL: `alembic upgrade head`, `alembic downgrade -1`."""

import logging.config
import os

from alembic import context
from lexikon.logs import LOGGING
from lexikon.settings import with_driver
from sqlalchemy import create_engine

logging.config.dictConfig(LOGGING)

with create_engine(with_driver(os.environ["DATABASE_URL"])).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
