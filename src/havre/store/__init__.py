"""What the engine cannot remember: releases, the journal, the ledger of claims, and who did what (D3, D15)."""
