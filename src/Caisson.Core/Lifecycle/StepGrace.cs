
namespace Caisson.Core.Lifecycle;

/// <summary>
/// Gives steps that were told to stop ten seconds to do so. Code in this process that goes on after that cannot be
/// killed: it is left behind, and the turn ends without it.
/// </summary>
internal sealed class StepGrace : IDisposable
{
    private readonly CancellationTokenRegistration _registration;
    private readonly ITimer _timer;

    internal StepGrace(RunSession session, RunServices services, TimeSpan grace)
    {
        _timer = services.Clock.CreateTimer(_ => session.AbandonSteps(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _registration = session.Interrupted.Register(() => _timer.Change(grace, Timeout.InfiniteTimeSpan));
    }

    public void Dispose()
    {
        _registration.Dispose();
        _timer.Dispose();
    }
}
