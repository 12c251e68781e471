using System.Globalization;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Caisson.Contracts;

namespace Caisson.Client;

/// <summary>
/// Follows one run's events. The id of an event is the entry's <c>seq</c>; the follower keeps the last one it handed
/// out and asks for what comes after it, so a server that dies in the middle of an event costs neither a gap nor a
/// duplicate. The stream ends only with the entry that ends the run; any other end means that the server went away.
/// </summary>
internal sealed class JournalFollower(HttpClient http, TimeProvider clock, string path, FollowOptions options)
{
    internal static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(100);

    // The server writes a comment every ten seconds when it has nothing to say.
    private static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(35);

    private static readonly string LastKind = JsonNamingPolicy.SnakeCaseLower.ConvertName(nameof(EntryKind.RunEnded));

    private readonly HttpClient _http = http;
    private readonly string _path = path;
    private readonly FollowOptions _options = options;
    private long _after = options.After;

    internal async IAsyncEnumerable<JournalEntryView> FollowAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var awayAt = 0L;
        var away = false;
        while (true)
        {
            await using var connection = new Connection(this, cancellationToken);
            var refusal = await connection.OpenAsync();
            if (refusal is null && away)
            {
                away = false;
                _options.Back?.Invoke();
            }

            while (refusal is null)
            {
                (var entry, refusal) = await connection.NextAsync();
                if (entry is null)
                    continue;
                if (entry.Seq <= _after)
                    continue;
                _after = entry.Seq;
                yield return entry;
                if (entry.Kind == LastKind)
                    yield break;
            }

            if (!CaissonClient.IsAbsence(refusal))
                throw refusal;
            if (!away)
            {
                away = true;
                awayAt = clock.GetTimestamp();
                _options.Lost?.Invoke(refusal.InnerException?.Message ?? refusal.Message);
            }

            if (clock.GetElapsedTime(awayAt) >= _options.Patience)
                throw refusal;
            await Task.Delay(RetryPause, clock, cancellationToken);
        }
    }

    /// <summary>One HTTP answer. Its calls answer with the reason when it is over, so that the loop above has no handlers around its yields.</summary>
    private sealed class Connection(JournalFollower follower, CancellationToken cancellationToken) : IAsyncDisposable
    {
        private readonly CancellationTokenSource _silence = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        private HttpResponseMessage? _answer;
        private IAsyncEnumerator<SseItem<JournalEntryView?>>? _events;

        internal async Task<Exception?> OpenAsync()
        {
            using var message = new HttpRequestMessage(HttpMethod.Get, $"{follower._path}?payloads={(follower._options.Payloads ? "true" : "false")}");
            message.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
            message.Headers.TryAddWithoutValidation(ApiNames.LastEventId, follower._after.ToString(CultureInfo.InvariantCulture));
            return await TryAsync(async () =>
            {
                _answer = await follower._http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, _silence.Token);
                if (!_answer.IsSuccessStatusCode)
                    return await CaissonClient.ReadProblemAsync(_answer, _silence.Token);
                var stream = new WatchedStream(await _answer.Content.ReadAsStreamAsync(_silence.Token), Heard);
                _events = SseParser.Create(stream, Parse).EnumerateAsync(_silence.Token).GetAsyncEnumerator(_silence.Token);
                return null;
            });
        }

        internal async Task<(JournalEntryView? Entry, Exception? Over)> NextAsync()
        {
            JournalEntryView? entry = null;
            var over = await TryAsync(async () =>
            {
                if (!await _events!.MoveNextAsync())
                    return new ServerUnreachableException(follower._http.BaseAddress, false, new IOException("the server ended the stream"));
                entry = _events.Current.Data;
                return null;
            });
            return (entry, over);
        }

        private async Task<Exception?> TryAsync(Func<Task<Exception?>> act)
        {
            Heard();
            try
            {
                return await act();
            }
            catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
            {
                return CaissonClient.Unreachable(follower._http, new TimeoutException($"silent for {SilenceLimit.TotalSeconds} s", e));
            }
            catch (Exception e) when (e is HttpRequestException or IOException)
            {
                return CaissonClient.Unreachable(follower._http, e);
            }
        }

        private void Heard() => _silence.CancelAfter(SilenceLimit);

        private static JournalEntryView? Parse(string type, ReadOnlySpan<byte> data) =>
            data.IsEmpty ? null : JsonSerializer.Deserialize(data, ApiJson.Default.JournalEntryView);

        public async ValueTask DisposeAsync()
        {
            if (_events is not null)
                await _events.DisposeAsync();
            _answer?.Dispose();
            _silence.Dispose();
        }
    }
}
