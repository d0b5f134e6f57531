//! Trace of received and sent messages, for people and scripts.

use serde::Serialize;
use serde_json::{Value, json};
use vppapi::messages::{
    CliInband, ControlPing, IpRouteLookupV2, LbAddDelAs, LbAddDelAsV2, LbAddDelVipV2, LbAsDump,
    LbAsSetWeight, LbAsV2Dump, LbConf, LbConfGet, LbFlushVip, LbVipDump, ShowVersion, SockclntCreate,
    SockclntDelete,
};
use vppapi::types::VipId;

use super::messages::{ApiVersions, GetApiJson};

/// Whether a message came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From a client.
    Received,
    /// To a client.
    Sent,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Whether it came or went.
    pub dir: Direction,
    /// Its name, without the CRC.
    pub name: &'static str,
    /// Its context.
    pub context: u32,
    /// Its return value, if it is a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retval: Option<i32>,
    /// Its fields, if it is a request that has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Value>,
}

impl Entry {
    pub(super) fn received(name: &'static str, context: u32, fields: Option<Value>) -> Self {
        Self { dir: Direction::Received, name, context, retval: None, fields }
    }

    pub(super) fn sent(name: &'static str, context: u32, retval: Option<i32>) -> Self {
        Self { dir: Direction::Sent, name, context, retval, fields: None }
    }
}

/// A request that can tell its fields.
pub(super) trait Fields {
    fn fields(&self) -> Option<Value> {
        None
    }
}

impl Fields for ApiVersions {}
impl Fields for ControlPing {}
impl Fields for GetApiJson {}
impl Fields for LbConfGet {}
impl Fields for LbVipDump {}
impl Fields for ShowVersion {}

impl Fields for SockclntCreate {
    fn fields(&self) -> Option<Value> {
        Some(json!({ "name": self.name.as_str() }))
    }
}

impl Fields for SockclntDelete {
    fn fields(&self) -> Option<Value> {
        Some(json!({ "index": self.index }))
    }
}

impl Fields for CliInband {
    fn fields(&self) -> Option<Value> {
        Some(json!({ "cmd": self.cmd.as_str() }))
    }
}

impl Fields for IpRouteLookupV2 {
    fn fields(&self) -> Option<Value> {
        Some(json!({ "table_id": self.table_id, "exact": self.exact, "prefix": self.prefix.to_string() }))
    }
}

impl Fields for LbConf {
    fn fields(&self) -> Option<Value> {
        Some(json!({
            "ip4_src_address": self.ip4_src_address,
            "ip6_src_address": self.ip6_src_address,
            "sticky_buckets_per_core": self.sticky_buckets_per_core,
            "flow_timeout": self.flow_timeout,
        }))
    }
}

impl Fields for LbAddDelVipV2 {
    fn fields(&self) -> Option<Value> {
        let more = json!({
            "encap": self.encap.name(),
            "new_flows_table_length": self.new_flows_table_length,
            "src_ip_sticky": self.src_ip_sticky,
            "is_del": self.is_del,
        });
        Some(with_vip(&self.vip, more))
    }
}

impl Fields for LbAddDelAsV2 {
    fn fields(&self) -> Option<Value> {
        let more = json!({
            "as_address": self.as_address,
            "weight": self.weight,
            "is_del": self.is_del,
            "is_flush": self.is_flush,
        });
        Some(with_vip(&self.vip, more))
    }
}

impl Fields for LbAddDelAs {
    fn fields(&self) -> Option<Value> {
        let more = json!({ "as_address": self.as_address, "is_del": self.is_del, "is_flush": self.is_flush });
        Some(with_vip(&self.vip, more))
    }
}

impl Fields for LbAsDump {
    fn fields(&self) -> Option<Value> {
        Some(with_vip(&self.vip, json!({})))
    }
}

impl Fields for LbAsSetWeight {
    fn fields(&self) -> Option<Value> {
        let more = json!({ "as_address": self.as_address, "weight": self.weight, "is_flush": self.is_flush });
        Some(with_vip(&self.vip, more))
    }
}

impl Fields for LbFlushVip {
    fn fields(&self) -> Option<Value> {
        Some(with_vip(&self.vip, json!({})))
    }
}

impl Fields for LbAsV2Dump {
    fn fields(&self) -> Option<Value> {
        Some(with_vip(&self.vip, json!({})))
    }
}

/// The fields of a VIP, and more.
fn with_vip(vip: &VipId, more: Value) -> Value {
    let mut fields = json!({ "prefix": vip.prefix.to_string(), "protocol": vip.protocol, "port": vip.port });
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}
