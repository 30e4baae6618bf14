"""The type of a configuration in annotations."""

from typing import TYPE_CHECKING, Any, TypeAlias

import ml_collections

# ConfigDict types each field as the union of all field types, which a type checker cannot use.
if TYPE_CHECKING:
    Config: TypeAlias = Any
else:
    Config = ml_collections.ConfigDict
