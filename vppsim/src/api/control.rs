//! Messages about VPP itself.

use vppapi::messages::{
    CliInband, CliInbandReply, ControlPing, ControlPingReply, ShowVersion, ShowVersionReply,
};

use super::messages::{self, ApiVersions, ApiVersionsReply, GetApiJson, GetApiJsonReply};
use super::{Call, Outcome, Simulator, fixed};
use crate::text;

impl Simulator {
    pub(super) fn control_ping(
        &mut self,
        call: &Call<'_>,
        _: &ControlPing,
        _: &mut Outcome,
    ) -> Option<ControlPingReply> {
        // VPP 26.06 leaves it 0.
        let client_index = if self.ids.lb_api().has_weights() { call.client.index() } else { 0 };
        Some(ControlPingReply { retval: 0, client_index, vpe_pid: self.identity.pid })
    }

    pub(super) fn show_version(
        &mut self,
        _: &Call<'_>,
        _: &ShowVersion,
        _: &mut Outcome,
    ) -> Option<ShowVersionReply> {
        Some(ShowVersionReply {
            retval: 0,
            program: fixed("vpe"),
            version: fixed(&self.identity.version),
            build_date: fixed(&self.identity.build_date),
            build_directory: fixed(&self.identity.build_directory),
        })
    }

    pub(super) fn cli_inband(
        &mut self,
        call: &Call<'_>,
        message: &CliInband,
        _: &mut Outcome,
    ) -> Option<CliInbandReply> {
        let output = text::run(&self.lb, &self.identity.version_line(), &message.cmd.as_str(), call.now);
        Some(CliInbandReply { retval: output.retval, reply: output.text.into() })
    }

    pub(super) fn api_versions(
        &mut self,
        _: &Call<'_>,
        _: &ApiVersions,
        _: &mut Outcome,
    ) -> Option<ApiVersionsReply> {
        Some(ApiVersionsReply { retval: 0 })
    }

    pub(super) fn get_api_json(
        &mut self,
        _: &Call<'_>,
        _: &GetApiJson,
        _: &mut Outcome,
    ) -> Option<GetApiJsonReply> {
        Some(GetApiJsonReply { retval: 0, json: format!("[{}]", messages::API_JSON).into() })
    }
}
