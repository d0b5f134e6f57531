//! The library's sample of a test.

use std::collections::BTreeMap;

use maglev_tester::class::Class;
use maglev_tester::latency::Percentiles;
use maglev_tester::servers::ServerShare;
use maglev_tester::snapshot::{
    FailureSnapshot, FlowEventSnapshot, FlowsSnapshot, OutageSnapshot, OutagesSnapshot, Snapshot,
    VipSnapshot, VipState,
};

#[path = "../snapshot/samples.rs"]
mod shared;

pub(super) use shared::two_vips;
