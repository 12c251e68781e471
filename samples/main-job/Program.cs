using System.Globalization;
using System.Runtime.InteropServices;
using Caisson.Contracts;
using MainJob;

if (args is not [var caisson])
{
    Console.Error.WriteLine("usage: main-job PATH-OF-CAISSON");
    return 2;
}

// The three incidents of the README, for real: real server, real store, real boxes, a real HTTP provider that plays a
// script. Every figure of the last line is read from journals, from the provider's own log, or from this host.
var here = AppContext.BaseDirectory;
string Agent(string name) => Path.Combine(here, "agents", name + ".yaml");

await using var world = new World();
Console.WriteLine($"[0/3] a server, its supervisor and a scripted provider, in {world.Root}");
CrashReport crash;
EscapeReport escape;
LoopReport loop;
int exit;
await using (var deployment = await Deployment.StartAsync(caisson, world, Path.Combine(here, "models.yaml")))
{
    using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => deployment.Kill());
    using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => deployment.Kill());
    Console.WriteLine("[1/3] crashed at minute thirty-eight: an inventory in forty steps, and kill -9 in step 38");
    crash = await CrashIncident.PlayAsync(deployment, world, Agent("inventory"));
    Console.WriteLine("[2/3] cleaned up the wrong directory: injected orders to delete, to read secrets, to call out");
    escape = await EscapeIncident.PlayAsync(deployment, world, Agent("injected"));
    Console.WriteLine("[3/3] looped four thousand times: a repeated call, and a budget of ten cents");
    loop = await LoopIncident.PlayAsync(deployment.Client, Agent("repeater"), Agent("spender"));
    exit = await deployment.StopAsync();
}

var left = Residue.Find(world.Data);
foreach (var thing in left)
    Console.WriteLine("      left behind: " + thing);

var kept = crash is { Steps: 40, ExecutedTwice: 0, Paid: 20, PaidTwice: 0, InDoubt: 0, Status: RunStatus.Completed, RecoveryMs: >= 0 }
    && escape is { FilesTouched: 0, SecretsSeen: 0, Calls: 0, Status: RunStatus.Completed }
    && loop is { PausedByLoop: true, PausedByBudget: true, OvershootUsd: 0, Resumed: RunStatus.Completed, StoppedAfter: <= 8 }
    && left.Count == 0 && exit == 0;
Console.WriteLine(kept ? "every promise was kept" : "a promise was broken");
Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
    $$"""{"steps":{{crash.Steps}},"steps_executed_twice":{{crash.ExecutedTwice}},"model_calls_paid_twice":{{crash.PaidTwice}},"model_calls_in_doubt":{{crash.InDoubt}},"recovery_ms":{{crash.RecoveryMs}},"host_files_touched":{{escape.FilesTouched}},"secrets_seen":{{escape.SecretsSeen}},"host_connections":{{escape.Calls}},"loop_stopped_after":{{loop.StoppedAfter}},"budget_overshoot_usd":{{loop.OvershootUsd.ToString("0.#########", CultureInfo.InvariantCulture)}},"sandboxes_left":{{left.Count}}}"""));
return kept ? 0 : 1;
