"""The part of Open vSwitch's database that Fairlead reads and writes.

Written down here, so that connecting needs no request for the whole schema and the replica holds a dozen columns.
Source: ovs-vswitchd.conf.db(5). The notation is RFC 7047's, section 3.2.
"""

from typing import Any, Final

_STRING_MAP: Final = {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}

SCHEMA: Final[dict[str, Any]] = {
    "name": "Open_vSwitch",
    "version": "8.0.0",
    "tables": {
        "Open_vSwitch": {
            "columns": {
                "external_ids": _STRING_MAP,
                "next_cfg": {"type": "integer"},
                "cur_cfg": {"type": "integer"},
            },
            "isRoot": True,
            "maxRows": 1,
        },
        "Bridge": {
            "columns": {
                "name": {"type": "string", "mutable": False},
                "datapath_type": {"type": "string"},
                "ports": {"type": {"key": {"type": "uuid", "refTable": "Port"}, "min": 0, "max": "unlimited"}},
            },
            "indexes": [["name"]],
        },
        "Port": {
            "columns": {
                "name": {"type": "string", "mutable": False},
                "interfaces": {
                    "type": {"key": {"type": "uuid", "refTable": "Interface"}, "min": 1, "max": "unlimited"}
                },
            },
            "indexes": [["name"]],
        },
        "Interface": {
            "columns": {
                "name": {"type": "string", "mutable": False},
                "external_ids": _STRING_MAP,
                "ofport": {"type": {"key": "integer", "min": 0, "max": 1}},
                "error": {"type": {"key": "string", "min": 0, "max": 1}},
            },
            "indexes": [["name"]],
        },
    },
}
