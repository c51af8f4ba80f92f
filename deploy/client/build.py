"""What hatchling calls to build the client: it is given the modules under their installed names."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ClientBuildHook(BuildHookInterface):  # type: ignore[misc]  # hatchling has no types here
    """Puts the client's modules into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write them to a folder that lasts as long as the build, and name them to hatchling."""
        root = Path(self.root)
        sys.path.insert(0, str(root))  # hatchling loads this file alone
        try:
            from deploy.client.modules import modules  # noqa: PLC0415 - found only now
        finally:
            sys.path.remove(str(root))
        self._staged = tempfile.TemporaryDirectory()
        included = build_data[
            "force_include_editable" if version == "editable" else "force_include"
        ]
        for module in modules(root):
            path = Path(self._staged.name, module.place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(module.text, encoding="utf-8")
            included[str(path)] = module.place
        included[str(root / "api/client/py.typed")] = "permafrost/py.typed"

    def finalize(self, *_: Any) -> None:
        """Remove the folder."""
        self._staged.cleanup()
