using System.Globalization;

namespace Caisson.Core.Agents.Tools;

/// <summary>What the programs of a tool's step find in their environment; agents in code get the same as a <see cref="StepContext"/>.</summary>
internal static class StepEnvironment
{
    internal const string IdempotencyKey = "CAISSON_IDEMPOTENCY_KEY";
    internal const string Run = "CAISSON_RUN";
    internal const string Epoch = "CAISSON_RUN_EPOCH";
    internal const string Attempt = "CAISSON_ATTEMPT";

    internal static Dictionary<string, string> Of(string run, StepContext step) => new()
    {
        [IdempotencyKey] = step.IdempotencyKey,
        [Run] = run,
        [Epoch] = step.Epoch.ToString(CultureInfo.InvariantCulture),
        [Attempt] = step.Attempt.ToString(CultureInfo.InvariantCulture),
    };
}
