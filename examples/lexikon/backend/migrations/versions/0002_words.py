"""Words have meanings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FIRST_WORDS = {
    "anchor": "What holds a ship where it is.",
    "beacon": "A light that shows where the shore is.",
    "haven": "A place where ships are safe.",
    "mole": "A wall of stone that keeps the waves out of a port.",
    "pilot": "Somebody who knows the waters and brings a ship in.",
}


def upgrade() -> None:
    """Create the words, with a few to begin with."""
    words = op.create_table(
        "words",
        sa.Column("word", sa.String(100), primary_key=True),
        sa.Column("meaning", sa.Text, nullable=False),
    )
    op.bulk_insert(words, [{"word": word, "meaning": meaning} for word, meaning in FIRST_WORDS.items()])


def downgrade() -> None:
    """Remove them again."""
    op.drop_table("words")
