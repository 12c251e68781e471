using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// One command over one stream. The worker in the box ends the command's whole tree and answers when nothing of it is
/// left; a worker that does not answer in time ends the box.
/// </summary>
internal static class GuestExec
{
    private const int KilledCode = 128 + 9;

    private static readonly TimeSpan LongestTimeout = TimeSpan.FromDays(30);

    /// <summary>
    /// From a kill to the worker's answer. A box that its owner froze meanwhile does not answer and is lost: the owner
    /// froze it in the middle of a command whose time was over.
    /// </summary>
    private static readonly TimeSpan KillLimit = TimeSpan.FromSeconds(5);

    /// <summary>A copy of a box has ended by then.</summary>
    private static readonly TimeSpan AwayLimit = TimeSpan.FromMinutes(4);

    private static readonly TimeSpan FloodPause = TimeSpan.FromMilliseconds(20);
    private const int FloodQuantum = 1 << 20;

    public static async Task<ExecOutcome> RunAsync(
        GuestLink link, OpenStream open, ExecRequest request, TimeProvider time, CancellationToken cancellationToken)
    {
        if (CommandFrames.Encode(request.Command, request.Directory, request.Environment, null) is not { } frames)
            return new ExecOutcome.NotStarted(CommandFrames.Invalid);
        var start = time.GetTimestamp();
        var killRounds = link.KillRounds;
        var (opened, failure) = await open(StreamKind.Exec, cancellationToken);
        if (opened is null)
            return link.Lost.IsCompleted ? new ExecOutcome.Lost(await link.Lost) : new ExecOutcome.NotStarted(failure!);
        using var channel = new CommandChannel(link, opened) { HasInput = request.Input.Length > 0 || request.Feed is not null };
        await opened.WriteAsync(frames, cancellationToken);
        return await FollowAsync(link, channel, request, start, killRounds, time, cancellationToken);
    }

    /// <summary>A command that a restored box brought with it: what it writes from now on, and its end.</summary>
    public static async Task<ExecOutcome> ResumeAsync(GuestLink link, StreamTicket ticket, ExecRequest request, TimeProvider time, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        var killRounds = link.KillRounds;
        if (await link.ExpectAsync(ticket, cancellationToken) is not { } stream)
            return new ExecOutcome.Lost(await link.Lost);
        using var channel = new CommandChannel(link, stream);
        return await FollowAsync(link, channel, request with { Input = default, Feed = null }, start, killRounds, time, cancellationToken);
    }

    private static async Task<ExecOutcome> FollowAsync(
        GuestLink link, CommandChannel channel, ExecRequest request, long start, int killRounds, TimeProvider time, CancellationToken cancellationToken)
    {
        var output = new OutputBuffer(Math.Max(0, request.MaxOutputBytes));
        var error = new OutputBuffer(Math.Max(0, request.MaxOutputBytes));
        // The time limit asks the worker to kill; the second limit is for a worker that does not.
        using var limit = new CancellationTokenSource(request.Timeout < LongestTimeout ? request.Timeout : LongestTimeout, time);
        using var asked = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        using var giveUp = new CancellationTokenSource();
        await using var kill = asked.Token.Register(() =>
        {
            // A guest that is away for a copy of its box hears of it when it is back.
            giveUp.CancelAfter(link.IsDetached ? KillLimit + AwayLimit : KillLimit);
            _ = channel.KillAsync();
        });
        using var lost = CancellationTokenSource.CreateLinkedTokenSource(giveUp.Token, link.Gone);

        try
        {
            var outcome = await PumpAsync(channel, request, output, error, link.CountOutput, time, lost.Token);
            cancellationToken.ThrowIfCancellationRequested();
            switch (outcome)
            {
                case { Type: FrameType.Exited } when limit.IsCancellationRequested:
                    return new ExecOutcome.TimedOut(output.ToOutput(), error.ToOutput());
                case { Type: FrameType.Exited } exited:
                    return new ExecOutcome.Exited((int)(exited.U32(0) & 0xff), output.ToOutput(), error.ToOutput(), time.GetElapsedTime(start));
                case { } dead when GuestErrors.Dying(dead.U32(0)) is { } dying:
                    link.Break(dying);
                    return new ExecOutcome.Lost(await link.Lost);
                case { } notStarted:
                    return new ExecOutcome.NotStarted(GuestErrors.Start(request.Command, request.Directory, notStarted.U32(0), (char)notStarted.Payload.Span[4]));
                case null when link.KillRounds != killRounds && !link.Lost.IsCompleted:
                    return new ExecOutcome.Exited(KilledCode, output.ToOutput(), error.ToOutput(), time.GetElapsedTime(start));
                default:
                    // Either the box is gone, which ctl tells at once, or something killed a worker, which nothing inside may.
                    link.Break(new Failure(ErrorCodes.SandboxLost, "the box ended during a command", Retryable: true));
                    return new ExecOutcome.Lost(await link.Lost);
            }
        }
        catch (GuestProtocolException e)
        {
            link.Break(new Failure(ErrorCodes.SandboxProtocol, e.Message));
            return new ExecOutcome.Lost(await link.Lost);
        }
        catch (OperationCanceledException) when (lost.IsCancellationRequested)
        {
            link.Break(new Failure(ErrorCodes.SandboxLost, $"a killed command was not gone within {KillLimit}", Retryable: true));
            cancellationToken.ThrowIfCancellationRequested();
            return new ExecOutcome.Lost(await link.Lost);
        }
    }

    private static async Task<Frame?> PumpAsync(
        CommandChannel stream, ExecRequest request, OutputBuffer output, OutputBuffer error, Action<int> written, TimeProvider time, CancellationToken cancellationToken)
    {
        var input = request.Input;
        var inputEnded = false;
        await using var feed = request.Feed is { } given ? new GuestFeed(stream, given) : null;
        var nextPause = request.MaxOutputBytes + (long)FloodQuantum;
        while (await stream.ReadAsync(cancellationToken) is { } frame)
        {
            switch (frame.Type)
            {
                case FrameType.Output or FrameType.Error:
                    (frame.Type == FrameType.Output ? output : error).Add(frame.Payload.Span);
                    written(frame.Payload.Length);
                    if (request.Observe is { } observe)
                        await observe(new OutputChunk(frame.Type == FrameType.Error, frame.Payload), cancellationToken);
                    break;
                case FrameType.Credit when feed is not null:
                    feed.Grant(frame.U32(0));
                    break;
                case FrameType.Credit when !inputEnded:
                    var credit = (int)Math.Min(frame.U32(0), Math.Min(input.Length, FrameStream.MaxPayload));
                    if (credit > 0)
                        await stream.WriteAsync(FrameType.Input, input[..credit], cancellationToken);
                    input = input[credit..];
                    inputEnded = input.Length == 0;
                    stream.HasInput = !inputEnded;
                    if (inputEnded)
                        await stream.WriteAsync(FrameType.Input, default, cancellationToken);
                    break;
                case FrameType.Credit:
                    break;
                case FrameType.Exited or FrameType.NotStarted:
                    return frame;
                default:
                    throw new GuestProtocolException($"{frame.Type} from a command");
            }

            // Past what is kept, a flood is read slowly: the full socket blocks the command, and the host stays idle.
            if (output.Total + error.Total > nextPause)
            {
                nextPause = output.Total + error.Total + FloodQuantum;
                await Task.Delay(FloodPause, time, cancellationToken);
            }
        }

        return null;
    }
}
