using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using ZstdSharp;

namespace Caisson.Storage.Sqlite.Blobs;

/// <summary>
/// Blobs as files, <c>ab/cdef…</c>, named by HMAC-SHA256 of their plaintext under the tenant's key: who does not hold
/// the key cannot learn from a name whether somebody stored a known content.
/// <para>
/// Order of a put, which makes it durable and whole at any crash: write a temporary file, sync it, rename it, sync the
/// folder, answer. A file under its final name is therefore complete. What a crash leaves under temporary names is
/// removed at the next start.
/// </para>
/// </summary>
public sealed class FileBlobStore : IBlobStore
{
    private const byte Plain = 0, Zstd = 1;
    private const int Header = 1 + 8, WorthCompressing = 128, Level = 3, SyncAtOnce = 8;
    private const long LargestBlob = 1L << 30;

    private readonly string _root;
    private readonly string _temporary;
    private readonly byte[] _key;
    private readonly Func<string, bool> _isStored;

    /// <param name="directory">Its own folder, on a local file system.</param>
    /// <param name="tenantKey">At least 32 bytes, secret and never changed.</param>
    public FileBlobStore(string directory, ReadOnlySpan<byte> tenantKey)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tenantKey.Length, 32);
        _root = Path.GetFullPath(directory);
        _key = tenantKey.ToArray();
        _isStored = address => File.Exists(PathOf(address));
        _temporary = Path.Combine(_root, "tmp");
        if (Directory.Exists(_temporary))
            Directory.Delete(_temporary, recursive: true);
        Directory.CreateDirectory(_temporary);
    }

    /// <inheritdoc/>
    public string AddressOf(ReadOnlySpan<byte> content)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(_key, content, hash);
        return Convert.ToHexStringLower(hash);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<string>> PutAsync(IReadOnlyList<ReadOnlyMemory<byte>> contents, CancellationToken cancellationToken)
    {
        var addresses = contents.Select(c => AddressOf(c.Span)).ToList();
        var missing = addresses.Zip(contents).DistinctBy(p => p.First).Where(p => !_isStored(p.First)).ToList();
        if (missing.Count == 0)
            return addresses;
        try
        {
            await Task.Run(() => Write(missing, cancellationToken), cancellationToken);
        }
        catch (Exception e) when (Cause(e) is { } cause)
        {
            var full = (cause.HResult & 0xffff) == NoSpace;
            throw new CaissonException(full ? ErrorCodes.DiskFull : ErrorCodes.StorageFailed, $"blobs were not stored in {_root}: {cause.Message}", isTransient: true, e);
        }

        return addresses;
    }

    /// <inheritdoc/>
    public async Task<ReadOnlyMemory<byte>?> GetAsync(string address, CancellationToken cancellationToken)
    {
        if (!IsAddress(address))
            return null;
        byte[] stored;
        try
        {
            stored = await File.ReadAllBytesAsync(PathOf(address), cancellationToken);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Of one blob, so of one run: the run that needs it is paused, the server goes on.
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"blob {address} cannot be read: {e.Message}: mend {PathOf(address)}", inner: e);
        }

        var content = Unpack(stored);
        return content is not null && AddressOf(content) == address
            ? content
            : throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"blob {address} does not hold what was stored; restore {PathOf(address)} from a backup");
    }

    /// <summary>What the disk said, also where parallel writers wrapped it.</summary>
    private static Exception? Cause(Exception e) => e switch
    {
        IOException or UnauthorizedAccessException => e,
        AggregateException { InnerExceptions: [var first, ..] } => Cause(first),
        _ => null,
    };

    private void Write(List<(string Address, ReadOnlyMemory<byte> Content)> missing, CancellationToken cancellationToken)
    {
        // Several syncs at once share the disk's own commit, so many small blobs do not wait for each other in a row.
        var options = new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = SyncAtOnce };
        var temporary = new string[missing.Count];
        try
        {
            Write(missing, temporary, options);
        }
        finally
        {
            foreach (var left in temporary)
            {
                // What was moved to its place is not here any more, and deleting nothing is no error.
                if (left is not null)
                    File.Delete(left);
            }
        }
    }

    private void Write(List<(string Address, ReadOnlyMemory<byte> Content)> missing, string[] temporary, ParallelOptions options)
    {
        Parallel.For(0, missing.Count, options, i =>
        {
            temporary[i] = Path.Combine(_temporary, $"{missing[i].Address}.{RandomNumberGenerator.GetHexString(16)}");
            using var file = File.OpenHandle(temporary[i], FileMode.CreateNew, FileAccess.Write);
            RandomAccess.Write(file, Pack(missing[i].Content.Span), 0);
            RandomAccess.FlushToDisk(file);
        });
        var folders = new HashSet<string>();
        for (var i = 0; i < missing.Count; i++)
        {
            var target = PathOf(missing[i].Address);
            var folder = Path.GetDirectoryName(target)!;
            if (!Directory.Exists(folder))
            {
                Directory.CreateDirectory(folder);
                folders.Add(_root);
            }

            // Whoever stored the same content meanwhile wrote the same bytes.
            File.Move(temporary[i], target, overwrite: true);
            folders.Add(folder);
        }

        Parallel.ForEach(folders, options, SyncFolder);
    }

    private string PathOf(string address) => Path.Combine(_root, address[..2], address[2..]);

    private static bool IsAddress(string text) => text.Length == 64 && text.All(char.IsAsciiHexDigitLower);

    private static byte[] Pack(ReadOnlySpan<byte> content)
    {
        var packed = new byte[Header + content.Length];
        BinaryPrimitives.WriteInt64LittleEndian(packed.AsSpan(1), content.Length);
        if (content.Length >= WorthCompressing)
        {
            using var compressor = new Compressor(Level);
            if (compressor.TryWrap(content, packed.AsSpan(Header), out var length) && length < content.Length)
            {
                packed[0] = Zstd;
                return packed[..(Header + length)];
            }
        }

        packed[0] = Plain;
        content.CopyTo(packed.AsSpan(Header));
        return packed;
    }

    /// <summary>Answers <c>null</c> for what cannot have come from <see cref="Pack"/>.</summary>
    private static byte[]? Unpack(byte[] stored)
    {
        if (stored.Length < Header)
            return null;
        var length = BinaryPrimitives.ReadInt64LittleEndian(stored.AsSpan(1));
        var body = stored.AsSpan(Header);
        if (stored[0] == Plain)
            return length == body.Length ? body.ToArray() : null;
        if (stored[0] != Zstd || length is < 0 or > LargestBlob)
            return null;
        try
        {
            var content = new byte[length];
            using var decompressor = new Decompressor();
            return decompressor.Unwrap(body, content) == length ? content : null;
        }
        catch (ZstdException)
        {
            return null;
        }
    }

    private const int NoSpace = 28, DirectoryFlags = 0x10000 | 0x80000;

    // .NET opens no folders, and only a folder's own sync makes a rename in it durable.
    private static void SyncFolder(string folder)
    {
        var descriptor = Open(folder, DirectoryFlags);
        if (descriptor < 0)
            throw new IOException($"{folder}: {Marshal.GetLastPInvokeErrorMessage()}");
        var synced = Sync(descriptor);
        var error = Marshal.GetLastPInvokeErrorMessage();
        _ = Close(descriptor);
        if (synced != 0)
            throw new IOException($"{folder}: {error}");
    }

#pragma warning disable SYSLIB1054, CA2101 // Generated imports need unsafe code, which this project does not allow itself for three calls.
    [DllImport("libc", EntryPoint = "open", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Sync(int descriptor);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Close(int descriptor);
#pragma warning restore SYSLIB1054, CA2101
}
