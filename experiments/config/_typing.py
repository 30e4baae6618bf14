"""What annotations call a configuration."""

from typing import TYPE_CHECKING, Any, TypeAlias

import ml_collections

# ConfigDict gives each field the union of all types that a field may have, which no type checker can use.
if TYPE_CHECKING:
    Config: TypeAlias = Any
else:
    Config = ml_collections.ConfigDict
