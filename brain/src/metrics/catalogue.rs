//! All metrics: name, kind and help. The guide in `docs/monitoring` has the same list, with labels.

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only increases, or restarts at 0.
    Counter,
    /// Anything.
    Gauge,
    /// Counts durations by bucket.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it may do.
    pub kind: Kind,
    /// One-line description, shown in Prometheus.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(pub(super) const $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*

        /// All metrics.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

catalogue! {
    // The process.
    BUILD_INFO = Gauge "maglev_build_info" "Always 1; the brain's version as a label.";
    PROCESS_START = Gauge "process_start_time_seconds" "Start of the brain, in Unix seconds.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" "CPU time of the brain, user and system.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" "Resident memory of the brain.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" "Address space of the brain.";
    PROCESS_THREADS = Gauge "process_threads" "Threads of the brain.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" "Open file descriptors of the brain.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" "Limit on open file descriptors of the brain.";

    // Brain.
    WARMUP_PHASE = Gauge "maglev_warmup_phase" "1 for the phase of the warm-up, 0 for the others.";
    EVENTS = Counter "maglev_events_total" "Changes of state of backends and frontends.";
    UNSERVED = Gauge "maglev_unserved_listeners" "Addresses that the brain should listen on and does not.";
    CONFIG_SUCCESSFUL = Gauge "maglev_config_last_reload_successful"
        "Whether the last attempt to load the configuration succeeded.";
    CONFIG_SUCCESS_TIME = Gauge "maglev_config_last_reload_success_timestamp_seconds"
        "Time of the last successful load of the configuration, in Unix seconds.";
    CONFIG_RELOADS = Counter "maglev_config_reloads_total" "Reloads of the configuration.";
    CONFIG_ROLLED_BACK = Gauge "maglev_config_rolled_back"
        "Whether an earlier configuration than that of the file is in use.";
    CONFIG_CONFIRM_UNTIL = Gauge "maglev_config_confirm_deadline_timestamp_seconds"
        "When the configuration goes back unless it is confirmed, in Unix seconds; absent if it need not be.";
    COMMANDS = Counter "maglev_commands_total" "Commands of operators.";
    OVERRIDES = Gauge "maglev_overrides" "Overrides in effect.";
    OVERRIDES_UNMATCHED = Gauge "maglev_overrides_unmatched"
        "Overrides without a target in the configuration.";
    OVERRIDES_PERSISTED = Gauge "maglev_overrides_persisted"
        "Whether the overrides would survive a restart of the brain.";
    HISTORY_WRITTEN = Gauge "maglev_history_written"
        "Whether the newest records of the history are on the disk.";
    HISTORY_LOST = Counter "maglev_history_lost_records_total"
        "Records of the history that were lost, since too many waited for the disk.";
    OVERRIDE_SET = Gauge "maglev_override_set_timestamp_seconds" "When an override was set, in Unix seconds.";
    OVERRIDE_END = Gauge "maglev_override_end_timestamp_seconds"
        "When an override ends by itself, in Unix seconds; absent if it lasts until it is cleared.";

    WEBHOOK_DELIVERIES = Counter "maglev_webhook_deliveries_total" "Attempts to deliver an event to a webhook.";
    WEBHOOK_QUEUE = Gauge "maglev_webhook_queue" "Events that wait for delivery to a webhook.";
    WEBHOOK_DROPPED = Counter "maglev_webhook_dropped_total"
        "Events that were dropped, since too many waited for delivery to a webhook.";
    WEBHOOK_FAILING = Gauge "maglev_webhook_failing" "Whether the latest attempt to deliver to a webhook failed.";

    // Agent, VPP and syncs.
    AGENT_UP = Gauge "maglev_agent_up" "Whether the agent answers.";
    AGENT_INFO = Gauge "maglev_agent_info" "1 while the agent answers; its version and the protocol version as labels.";
    AGENT_START = Gauge "maglev_agent_start_time_seconds" "Start of the agent, in Unix seconds.";
    AGENT_CONNECTIONS = Counter "maglev_agent_connections_total" "Connections made to the agent.";
    AGENT_SINCE = Gauge "maglev_agent_connection_timestamp_seconds"
        "Time of the last connection to the agent, in Unix seconds.";
    VPP_UP = Gauge "maglev_vpp_up" "Whether VPP is connected and can be programmed.";
    VPP_INFO = Gauge "maglev_vpp_info" "1 while VPP is connected; its version as a label.";
    VPP_START = Gauge "maglev_vpp_start_time_seconds" "Start of VPP, in Unix seconds.";
    VPP_CONNECTIONS = Counter "maglev_vpp_connections_total"
        "How often VPP was found ready: after it connected, and after each connection to the agent.";
    VPP_RESTARTS = Counter "maglev_vpp_restarts_total" "How often VPP was another process than before.";
    VPP_FOREIGN_VIPS = Gauge "maglev_vpp_foreign_vips" "VIPs outside the agent's policy, which are left alone.";
    VPP_COUNTERS_UP = Gauge "maglev_vpp_counters_up" "Whether this scrape has VPP's counters.";
    VPP_COUNTERS_AGE = Gauge "maglev_vpp_counters_age_seconds" "How long ago VPP's counters were read.";
    VPP_SERVERS_AGE = Gauge "maglev_vpp_server_figures_age_seconds"
        "How long ago buckets and flows were read from VPP.";
    SYNCS = Counter "maglev_syncs_total" "Syncs that the agent answered.";
    SYNCS_FAILED = Counter "maglev_syncs_failed_total" "Syncs that the agent did not carry out or answer.";
    SYNC_STEPS = Counter "maglev_sync_steps_total" "Writes that VPP acknowledged.";
    SYNC_FLUSHES = Counter "maglev_sync_flushes_total" "Servers whose pinned flows were flushed.";
    SYNC_ERRORS = Counter "maglev_sync_errors_total" "Writes that VPP refused.";
    SYNC_DRIFT = Counter "maglev_sync_drift_total"
        "Drift: differences found between VPP and what was programmed.";
    EVENT_TO_VPP = Histogram "maglev_event_to_vpp_seconds"
        "From the event that changed a frontend, such as the end of a probe, to VPP's acknowledgement.";

    // Frontends.
    FRONTEND_INFO = Gauge "maglev_frontend_info" "Always 1; address, protocol and port as labels.";
    FRONTEND_STATE = Gauge "maglev_frontend_state" "1 for the state of the frontend, 0 for the others.";
    FRONTEND_SYNC = Gauge "maglev_frontend_sync_state"
        "1 for the sync state of the frontend, 0 for the others.";
    FRONTEND_POOL_ACTIVE = Gauge "maglev_frontend_pool_active" "Whether the pool takes new flows.";
    FRONTEND_POOL_INDEX = Gauge "maglev_frontend_active_pool_index"
        "Index of the pool that takes new flows, from 0; absent if none does.";
    FRONTEND_POOL_UP = Gauge "maglev_frontend_pool_backends_up"
        "Backends of the pool, active or not, that are up and have a weight above 0.";
    FRONTEND_POOL_MIN_UP = Gauge "maglev_frontend_pool_min_up"
        "Backends of the pool that should be up; absent without min-up.";
    FRONTEND_PANIC = Gauge "maglev_frontend_panic"
        "Whether the pool is in panic: with so few backends up, all of them take new flows.";
    CONFIGURED_WEIGHT = Gauge "maglev_frontend_backend_configured_weight"
        "Weight in the configuration, 0 to 100.";
    EFFECTIVE_WEIGHT = Gauge "maglev_frontend_backend_effective_weight"
        "Weight now, on the configuration's scale.";
    PROGRAMMED_WEIGHT = Gauge "maglev_frontend_backend_programmed_weight"
        "Weight now, on the scale of VPP's table.";
    BACKEND_BUCKETS = Gauge "maglev_frontend_backend_buckets"
        "Buckets of the table for new flows that VPP gives the backend.";
    BACKEND_FLOWS = Gauge "maglev_frontend_backend_flows"
        "Flows pinned to the backend, at most; 0 once it was sent no packet for the flow-timeout.";
    VIP_PACKETS = Counter "maglev_vip_packets_total" "Packets to the frontend's VIP, by outcome.";
    ROUTE_PACKETS = Counter "maglev_vip_route_packets_total" "Packets to the prefix of one or more VIPs.";
    ROUTE_BYTES = Counter "maglev_vip_route_bytes_total" "Bytes to the prefix of one or more VIPs.";

    // Fleet.
    FLEET_CONNECTED = Gauge "maglev_fleet_connected" "Whether the fleet's etcd is followed.";
    FLEET_MEMBERS = Gauge "maglev_fleet_members" "Members of the fleet.";
    FLEET_REVISION = Gauge "maglev_fleet_revision"
        "Revision of the fleet's configuration in use; 0 for the machine's own file.";
    FLEET_LOCAL = Gauge "maglev_fleet_local_overrides" "Overrides that only this member of the fleet has.";
    FLEET_ROLLOUT = Gauge "maglev_fleet_rollout_stage"
        "1 for the stage of the fleet's latest rollout, 0 for the others.";
    FLEET_REFUSED = Gauge "maglev_fleet_refused_keys" "Keys of etcd whose newest value is refused.";
    FLEET_RIVALS = Gauge "maglev_fleet_rivals" "Members of the fleet whose name more than one machine has.";
    FLEET_CUT_OFF = Gauge "maglev_fleet_cut_off"
        "Whether most backends are unreachable only from this load balancer.";
    FLEET_OVERRULED = Gauge "maglev_fleet_overruled_backends"
        "Backends whose state here is overruled by the fleet's votes.";
    FLEET_TABLES = Gauge "maglev_fleet_table_differences"
        "Tables that have differed from another member's for more than two sync intervals.";

    // Routes, and the router.
    ROUTE_STATE = Gauge "maglev_route_state"
        "1 for what is decided about the route of a VIP's address, 0 for the others.";
    ROUTE_REASON = Gauge "maglev_route_reason" "Always 1; why it is decided, as a label.";
    ROUTE_IN_ROUTER = Gauge "maglev_route_in_router" "Whether the router has the route as decided.";
    ROUTER_UP = Gauge "maglev_router_up" "Whether the router can be controlled.";
    ROUTER_MISSING = Gauge "maglev_router_missing_protocols"
        "Protocols of VIPs that the router's configuration lacks.";
    DRAINED = Gauge "maglev_drained" "Whether the whole load balancer is drained.";

    GUARD_TRIPS = Counter "maglev_guard_trips_total"
        "How often more backends than the guard allows went down within one second.";
    GUARD_WAITING = Gauge "maglev_guard_waiting_backends"
        "Backends whose failures wait for their turn, as the guard limits how many go down in a second.";

    // Backends and their health checks.
    BACKEND_INFO = Gauge "maglev_backend_info" "Always 1; address and health check as labels.";
    BACKEND_STATE = Gauge "maglev_backend_state" "1 for the state of the backend, 0 for the others.";
    BACKEND_HEALTH = Gauge "maglev_backend_health_level"
        "From 0 to rise + fall - 1 of its health check; the backend is up from rise on.";
    BACKEND_DAMPED = Gauge "maglev_backend_damped"
        "Whether flap damping holds the backend down; absent without damping.";
    BACKEND_SHARE = Gauge "maglev_backend_server_share_ratio"
        "Share of its weight that the backend's server asked for, 0 to 1; absent if none of its checks asks.";
    BACKEND_ENABLED = Gauge "maglev_backend_enabled" "Whether the configuration enables the backend.";
    BACKEND_TRANSITIONS = Counter "maglev_backend_transitions_total" "Changes of the backend to a state.";
    BACKEND_PACKETS = Counter "maglev_backend_packets_total"
        "Packets that VPP sent to the backend's address, over all frontends.";
    BACKEND_BYTES = Counter "maglev_backend_bytes_total"
        "Bytes that VPP sent to the backend's address, over all frontends, with the tunnel's headers.";
    BACKEND_PROBES = Counter "maglev_backend_probes_total" "Probes by HAProxy's code of their result.";
    BACKEND_PROBE_DURATION = Gauge "maglev_backend_probe_duration_seconds" "Duration of the latest probe.";
    PROBE_DURATION = Histogram "maglev_probe_duration_seconds"
        "Duration of the probes of a health check, without those that could not be made.";
    PROBE_LATENESS = Gauge "maglev_probe_lateness_max_seconds"
        "Largest start delay among the backends' latest probes.";
    CHECK_RISE = Gauge "maglev_healthcheck_rise" "Passes in a row that make a backend up.";
    CHECK_FALL = Gauge "maglev_healthcheck_fall" "Failures in a row that make a backend down.";
}
