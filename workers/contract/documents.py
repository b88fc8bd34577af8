"""The one place where a JSON document of a store is judged before it is believed."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from workers.contract.errors import UnreadableFile
from workers.contract.parquet_file import DamagedFile
from workers.contract.store import Store

Document = TypeVar("Document", bound=BaseModel)


def read_document(
    store: Store, path: str, document: type[Document], kind: str
) -> Document | DamagedFile | None:
    """Read a document: what is wrong when it is damaged, None when it is not there.

    Args:
        store: That holds it.
        path: Below the store's root.
        document: What it must be.
        kind: What it is called.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        content = store.read_bytes(path)
        return None if content is None else document.model_validate(json.loads(content))
    except UnreadableFile as error:
        return DamagedFile(error.reason)
    except ValidationError as error:
        first, *more = error.errors(include_url=False, include_input=False)
        place = ".".join(map(str, first["loc"])) or "the document"
        others = f", and {len(more)} faults more" if more else ""
        return DamagedFile(f"it is no {kind}: {place}: {first['msg']}{others}")
    except (ValueError, RecursionError) as error:
        return DamagedFile(f"it is not JSON: {error}")
