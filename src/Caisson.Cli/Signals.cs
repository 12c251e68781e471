using System.Runtime.InteropServices;

namespace Caisson.Cli;

/// <summary>SIGINT and SIGTERM: the first asks, the second insists.</summary>
internal sealed class Signals : IDisposable
{
    private readonly CancellationTokenSource _first = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _count;

    internal Signals()
    {
        foreach (var signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM })
            _registrations.Add(PosixSignalRegistration.Create(signal, Handle));
    }

    internal CancellationToken First => _first.Token;

    /// <summary>Takes every signal in place of the above: the supervisor passes them on.</summary>
    internal Action<PosixSignal>? Instead { get; set; }

    private void Handle(PosixSignalContext context)
    {
        context.Cancel = true;
        if (Instead is { } instead)
            instead(context.Signal);
        else if (Interlocked.Increment(ref _count) == 1)
            _first.Cancel();
        else
            Environment.Exit(ExitCodes.Interrupted);
    }

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _first.Dispose();
    }
}
