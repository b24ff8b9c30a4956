// SPDX-License-Identifier: MPL-2.0
//! Veilid's settings: its defaults, over them the user's file, over that the options.

use std::fs;
use std::path::Path;

use serde_json::{json, Value};
use veilid_core::VeilidConfig;

use crate::options::Options;
use crate::place;

/// The settings of the real node, or of the simulated one of that number.
pub fn settings(opt: &Options, simulated: Option<u16>) -> Result<Value, String> {
    let mut all = serde_json::to_value(VeilidConfig::default()).map_err(|e| e.to_string())?;
    if let Some(file) = &opt.config {
        merge(&mut all, read(file)?);
    }
    merge(&mut all, json!({ "program_name": "ddcp" }));
    if let Some(state) = &opt.state {
        let dir = |name: &str| state.join(name).to_string_lossy().into_owned();
        let protected = json!({
            // a file like the database's own key: a keyring would ask, and lock
            "always_use_insecure_storage": true,
            "allow_insecure_fallback": true,
            "directory": dir("protected"),
        });
        merge(&mut all, json!({
            "protected_store": protected,
            "table_store": { "directory": dir("tables") },
            "block_store": { "directory": dir("blocks") },
        }));
    }
    if let Some(file) = &opt.network_key_file {
        merge(&mut all, json!({
            "network": { "network_key_password": place::read_secret(file)? },
        }));
    }
    if !opt.bootstrap.is_empty() {
        merge(&mut all, json!({ "network": { "routing_table": bootstrap(&opt.bootstrap) } }));
    }
    if let Some(at) = &opt.listen {
        let at = json!({ "listen_address": at });
        merge(&mut all, json!({
            "network": { "protocol": { "udp": at, "tcp": at, "ws": at } },
        }));
    }
    if let Some(number) = simulated {
        merge(&mut all, json!({ "namespace": format!("n{number}") }));
    }
    Ok(all)
}

/// A record is told by its bars; what signs those of the public network does not sign
/// those of a private one.
fn bootstrap(all: &[String]) -> Value {
    let (records, hosts): (Vec<_>, Vec<_>) = all.iter().partition(|b| b.contains('|'));
    json!({ "bootstrap": hosts, "bootstrap_records": records, "bootstrap_keys": [] })
}

fn read(file: &Path) -> Result<Value, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|e| format!("cannot read {name}: {e}"))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|e| format!("{name} is not JSON: {e}"))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(format!("{name} is not a JSON object"))
    }
}

/// Puts what over has in the place of what is there, member by member.
fn merge(there: &mut Value, over: Value) {
    match (there, over) {
        (Value::Object(there), Value::Object(over)) => {
            for (name, value) in over {
                merge(there.entry(name).or_insert(Value::Null), value);
            }
        }
        (there, over) => *there = over,
    }
}
