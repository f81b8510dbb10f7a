"""The kinds of events, and the MESSAGE_ID of each (systemd.journal-fields(7)).

``systemd/dnsguard.catalog`` says what each means and what to do, dnsguard(8) lists them. An
id stays with its kind for good; a new one comes from ``systemd-id128 new``.
"""

from collections.abc import Mapping

MESSAGE_IDS: Mapping[str, str] = {
    "started": "3c5a4eece3544348a46d7d6831a172fe",
    "stopped": "8c58d9e988d94ca68a783f1192dfd967",
    "mode_changed": "5c31cd983b5d41d69664f7b91f8331ba",
    "nodelocal_changed": "b730778c4e2747af900f63d23f440ab9",
    "handover_reason_changed": "f1f4bab54fa4412088a31911ea7d282c",
    "upstream_changed": "8bd446af03cd4b7a882a06bc50710380",
    "resolv_conf_written": "319d2f20a9644ca0893cc14dfc96db83",
    "resolv_conf_trampled": "09456d07eb2d4d73ad9978bf3743226a",
    "resolv_conf_fought_over": "a76ae6d441e04fa5b300d8aae42c454e",
    "resolv_conf_not_written": "39e20ed874d949e0a263c41fb70c7ae2",
    "attributes_not_kept": "fe0ae7de86674efab89d6589c3701623",
    "nameserver_unused": "2820a13fd4a94224b6760f7e5564c228",
    "upstream_forgotten": "69278d3c154f49c9b96a0b00a63f8060",
    "pod_file_written": "4c3e5c9a62e9494b85307a4ce56cbd45",
    "resolved_told": "0650f2fc235f43d2ad08345693023c4f",
    "hold_set": "e4c4a9b990924b1a9996d72d2a9052a2",
    "hold_released": "d86793cdc3944a0981800634efb3a63d",
    "hold_expired": "54feb10689834e73adc9a22432e9629b",
    "state_unreadable": "e35b6953f4694e259bae136ca7415ec8",
    "state_not_written": "1a76b27050e74bd49ced0f1ecf01c732",
    "dhclient_hazard_found": "dd9726dadf844e03a84bc90d668bae0f",
    "dhclient_hazard_gone": "79c8d54ddec44211a8a5b6906350fbec",
    "dhcp_server_asked": "dc38d005633c4f79ad5c3dcc82231555",
    "hook_unavailable": "06a3c7b58e7c44cba1a00ec767ed7d14",
    "addresses_not_listed": "9d7f71f4077649649f921ebdb0be4708",
    "hints_unavailable": "1177db1c50324ec987756d46c65fa1a5",
    "control_socket_failed": "f6299c7c72cf49b18519c185de974ddd",
    "lock_failed": "eb44412ce1f14024b51341584dcaa266",
    "client_refused": "f9bbcb1e6f9c4c52a5b14cf1c6fdfca4",
    "lines_lost": "0cf93a384fe543e78fe0a96a33b10cee",
    "metrics_failed": "fee4c70b83ba4ef7b8b1d5a2388e2c95",
    "reloaded": "71d729380eff4b18b2f4f865289479fa",
    "reload_refused": "6c68d08a0e8b4b02ba7b6e6cd629a5e3",
    "look_failed": "fb2af0bd76054223b16d5b9116c460b5",
}
