using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Processes;

/// <summary>
/// A step whose body is executed by the program, far away. The engine's step runner executes it as it does any other:
/// this is the body that it runs. States of an attempt: handed out (a token stands for it) → its end told → the runner
/// journals it, and the answer to whoever told is what that came to, or the next attempt. A program that goes in between
/// leaves it, which ends the attempt as broken.
/// </summary>
internal sealed class StepLease(StepCall call, Func<string> mint)
{
    private readonly Lock _lock = new();
    private TaskCompletionSource<ProgramAnswer> _next = New<ProgramAnswer>();
    private TaskCompletionSource<StepEnd>? _end;
    private string? _token;
    private string? _told;

    internal StepCall Call => call;

    /// <summary>The program that had it is gone.</summary>
    internal bool IsLeft { get; private set; }

    /// <summary>What whoever has to do with it is to hear next.</summary>
    internal Task<ProgramAnswer> Next
    {
        get
        {
            lock (_lock)
                return _next.Task;
        }
    }

    /// <summary>The token by which its last end was told.</summary>
    internal string? Told
    {
        get
        {
            lock (_lock)
                return _told;
        }
    }

    internal bool IsUnderWay(string token)
    {
        lock (_lock)
            return token == _token;
    }

    internal async Task<JsonElement> AttemptAsync(StepContext context)
    {
        TaskCompletionSource<StepEnd> end;
        lock (_lock)
        {
            // Nobody has begun it: also what must not be repeated may begin another time.
            if (IsLeft)
                throw new StepFailedException(Gone);
            (_token, _end) = (mint(), end = New<StepEnd>());
            _next.TrySetResult(new ProgramAnswer.Run(_token, context.IdempotencyKey, context.Attempt));
        }

        return await end.Task.WaitAsync(context.Cancellation) switch
        {
            StepEnd.Done done => done.Result,
            StepEnd.Failed failed => throw new StepFailedException(failed.Failure),
            StepEnd.Broke broke => throw new StepBrokenException(broke.Failure, last: false),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    /// <returns>Whether the token is of the present attempt, or of one that was told before and is answered now.</returns>
    internal bool TryEnd(string token, StepEnd end)
    {
        lock (_lock)
        {
            if (token == _told)
                return true;
            if (token != _token)
                return false;
            (_told, _token, _next) = (token, null, New<ProgramAnswer>());
            return _end!.TrySetResult(end);
        }
    }

    internal void Leave()
    {
        lock (_lock)
        {
            IsLeft = true;
            _end?.TrySetException(new StepBrokenException(Gone, last: true));
        }
    }

    internal void Over(ProgramAnswer answer)
    {
        lock (_lock)
            _next.TrySetResult(answer);
    }

    private Failure Gone => new(ErrorCodes.ProcessFailed, $"the program ended in the middle of step '{call.Subject.Name}'", Retryable: true);

    private static TaskCompletionSource<T> New<T>() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
