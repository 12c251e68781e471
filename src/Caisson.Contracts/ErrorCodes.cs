namespace Caisson.Contracts;

/// <summary>Stable error codes. Each has a page <c>docs/errors/CODE.md</c>; a tidy test checks it.</summary>
public static class ErrorCodes
{
    public const string ManifestInvalid = "manifest_invalid";
    public const string InputInvalid = "input_invalid";
    public const string PayloadTooLarge = "payload_too_large";
    public const string RequestInvalid = "request_invalid";
    public const string RunNotFound = "run_not_found";
    public const string RunEnded = "run_ended";
    public const string RunConflict = "run_conflict";
    public const string IdempotencyMismatch = "idempotency_mismatch";
    public const string AgentNotFound = "agent_not_found";
    public const string ScheduleInvalid = "schedule_invalid";
    public const string ScheduleNotFound = "schedule_not_found";
    public const string ConfigInvalid = "config_invalid";
    public const string NotAllowed = "not_allowed";
    public const string Draining = "draining";

    public const string DataDirectoryInUse = "data_directory_in_use";
    public const string DataDirectoryInvalid = "data_directory_invalid";
    public const string DatabaseForeign = "database_foreign";
    public const string DatabaseCorrupt = "database_corrupt";
    public const string StorageFailed = "storage_failed";
    public const string DiskFull = "disk_full";
    public const string BlobMissing = "blob_missing";
    public const string KeyMissing = "key_missing";

    public const string BudgetExceeded = "budget_exceeded";
    public const string DeadlineExceeded = "deadline_exceeded";
    public const string KillSwitch = "kill_switch";
    public const string LoopDetected = "loop_detected";
    public const string RetryExhausted = "retry_exhausted";
    public const string Drift = "drift";
    public const string StepUnknown = "step_unknown";
    public const string StepCompensated = "step_compensated";
    public const string StepFailed = "step_failed";
    public const string StepStale = "step_stale";
    public const string ProcessFailed = "process_failed";
    public const string ApprovalDenied = "approval_denied";
    public const string McpUnavailable = "mcp_unavailable";
    public const string McpLost = "mcp_lost";
    public const string McpDrift = "mcp_drift";
    public const string DryRun = "dry_run";
    public const string SpawnCycle = "spawn_cycle";
    public const string Internal = "internal";

    public const string Usage = "usage";
    public const string ServerUnreachable = "server_unreachable";
    public const string WaitTimedOut = "wait_timed_out";
    public const string ScriptInvalid = "script_invalid";

    public const string ModelUnknown = "model_unknown";
    public const string ModelUnpriced = "model_unpriced";
    public const string PricesInvalid = "prices_invalid";
    public const string ProviderUnreachable = "provider_unreachable";
    public const string ProviderRejected = "provider_rejected";
    public const string ProviderThrottled = "provider_throttled";
    public const string ProviderFailed = "provider_failed";
    public const string ProviderMalformed = "provider_malformed";

    public const string SandboxUnavailable = "sandbox_unavailable";
    public const string SandboxNotFound = "sandbox_not_found";
    public const string SnapshotNotFound = "snapshot_not_found";
    public const string SnapshotRefused = "snapshot_refused";
    public const string SandboxStartFailed = "sandbox_start_failed";
    public const string SandboxLost = "sandbox_lost";
    public const string SandboxProtocol = "sandbox_protocol";
    public const string SandboxOom = "sandbox_oom";
    public const string SandboxPids = "sandbox_pids";
    public const string SandboxDisk = "sandbox_disk";
    public const string StepHung = "step_hung";
    public const string StepTimeout = "step_timeout";
    public const string ToolUnknown = "tool_unknown";
    public const string ToolArguments = "tool_arguments";

    public const string EgressNotGranted = "egress_not_granted";
    public const string EgressDenied = "egress_denied";
    public const string EgressAddress = "egress_address";
    public const string EgressName = "egress_name";
    public const string EgressUntrusted = "egress_untrusted";
    public const string EgressMalformed = "egress_malformed";
    public const string EgressEncoded = "egress_encoded";
    public const string EgressBudget = "egress_budget";
    public const string EgressStopped = "egress_stopped";
    public const string EgressUnreachable = "egress_unreachable";
}
