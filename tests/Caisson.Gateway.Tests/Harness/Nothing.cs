using Caisson.Core.Processes;
using Caisson.Gateway.Egress;
using Caisson.Gateway.Egress.Addresses;

namespace Caisson.Gateway.Tests.Harness;

/// <summary>For programs that only call models.</summary>
internal sealed class NoSteps : IProcessSteps
{
    public Task StepAsync(StepAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => throw Never();

    public Task CompleteAsync(string token, StepEnd end, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => throw Never();

    public ProgramAnswer Heartbeat(string token, string? note) => throw Never();

    public Task SleepAsync(string name, TimeSpan time, DateTimeOffset? until, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => throw Never();

    public Task SignalAsync(string name, TimeSpan? timeout, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => throw Never();

    public Task SpawnAsync(ChildAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => throw Never();

    public Task ChildAsync(string child, Func<ProgramAnswer, Task> deliver, CancellationToken gone) => throw Never();

    private static InvalidOperationException Never() => new("a program here only calls models");
}

/// <summary>For programs that nothing leaves.</summary>
internal static class NoWalls
{
    public static EgressGate Gate { get; } = new(new EgressOptions(), new SystemResolver(TimeProvider.System), new SocketConnector(), TimeProvider.System);
}
