using System.Globalization;
using System.Text;
using Caisson.Core.Blobs;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Safety;

/// <summary>
/// Many that put, refer to, read and forget the same few contents, while a sweep runs round after round and its clock
/// runs in leaps of more than the grace. References stand in a file, which outlives a kill.
/// </summary>
internal sealed class SweepLoad : IDisposable
{
    internal const int Contents = 60;
    internal const int MostRounds = 400;
    private const int Workers = 6;

    private readonly FakeTimeProvider _clock;
    private readonly FileBlobStore _store;
    private readonly int[] _references = new int[Contents];
    private readonly bool[] _kept = new bool[Contents];
    private readonly FileStream _file;
    private readonly ReaderWriterLockSlim _leap = new();
    private readonly Lock _one = new();

    internal SweepLoad(string folder)
    {
        var path = Path.Combine(folder, "references");
        var lives = 0;
        foreach (var words in (File.Exists(path) ? File.ReadAllLines(path) : []).Select(line => line.Split(' ')))
        {
            if (words is [var number, var by])
                _references[int.Parse(number, CultureInfo.InvariantCulture)] += int.Parse(by, CultureInfo.InvariantCulture);
            else
                lives++;
        }

        _file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);
        _file.Write("life\n"u8);
        for (var i = 0; i < Contents; i++)
        {
            // What the killed workers held is let go; what was kept stays.
            _kept[i] = _references[i] > 0;
            if (_references[i] > 1)
                Count_NeedsLock(i, 1 - _references[i]);
        }

        // Each life begins after the one before, as time does.
        _clock = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).AddHours(lives * 2.0 * MostRounds));
        _store = new FileBlobStore(Path.Combine(folder, "blobs"), new byte[32], _clock);
    }

    internal FileBlobStore Store => _store;

    internal long Removed { get; private set; }

    internal long Returned { get; private set; }

    internal IReadOnlyList<int> Referenced => [.. Enumerable.Range(0, Contents).Where(i => _references[i] > 0)];

    internal static byte[] Content(int number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"content {number}"));

    internal string AddressOf(int number) => _store.AddressOf(Content(number));

    internal Task RunAsync(int rounds, int seed, Action<int> onRound)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rounds, MostRounds);
        var done = false;
        var workers = Enumerable.Range(0, Workers).Select(i => Task.Run(() =>
        {
            var random = new Random(seed + i);
            while (!Volatile.Read(ref done))
                Work(random);
        })).ToList();
        var sweep = Task.Run(async () =>
        {
            try
            {
                for (var i = 0; i < rounds && workers.All(w => !w.IsFaulted); i++)
                {
                    // The promise holds for an hour: nobody may stand between a put and its reference while hours pass.
                    _leap.EnterWriteLock();
                    _clock.Advance(BlobPromise.KeptUnreferenced + TimeSpan.FromMinutes(1));
                    _leap.ExitWriteLock();
                    var report = await _store.SweepAsync(ReferencesAsync(), new LinkTrees(), default);
                    Removed += report.Removed;
                    Returned += report.Returned;
                    onRound(i);
                }
            }
            finally
            {
                Volatile.Write(ref done, true);
            }
        });
        return Task.WhenAll([.. workers, sweep]);
    }

    private void Work(Random random)
    {
        var number = random.Next(Contents);
        if (!TakeKept(number, random.Next(2) == 0))
        {
            _leap.EnterReadLock();
            try
            {
                Wait(_store.PutAsync([Content(number)], default));
                lock (_one)
                    Count_NeedsLock(number, 1);
            }
            finally
            {
                _leap.ExitReadLock();
            }
        }

        if (Wait(_store.GetAsync(AddressOf(number), default)) is not { } read || !read.Span.SequenceEqual(Content(number)))
            throw new InvalidOperationException($"content {number} is referred to and gone");
        lock (_one)
        {
            // Now and then a reference stays for long, and goes for long.
            if (random.Next(20) == 0)
            {
                _kept[number] = !_kept[number];
                Count_NeedsLock(number, _kept[number] ? 1 : -1);
            }

            Count_NeedsLock(number, -1);
        }
    }

    /// <summary>Refers to it by copying a reference that is there, without a put.</summary>
    private bool TakeKept(int number, bool wanted)
    {
        lock (_one)
        {
            if (!wanted || !_kept[number])
                return false;
            Count_NeedsLock(number, 1);
            return true;
        }
    }

#pragma warning disable VSTHRD002 // A lock that belongs to its thread is held across the wait, and the store needs none of ours.
    private static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();
#pragma warning restore VSTHRD002

    private void Count_NeedsLock(int number, int by)
    {
        _references[number] += by;
        _file.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{number} {by}\n")));
    }

    private async IAsyncEnumerable<BlobReference> ReferencesAsync()
    {
        for (var i = 0; i < Contents; i++)
        {
            await Task.Yield();
            bool there;
            lock (_one)
                there = _references[i] > 0;
            if (there)
                yield return new BlobReference(AddressOf(i), false);
        }
    }

    public void Dispose()
    {
        _file.Dispose();
        _leap.Dispose();
    }
}
