using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Sandboxes.Native;

/// <summary>
/// The system calls that .NET has no name for. Names of files are bytes here: they may hold newlines and invalid UTF-8,
/// which a string does not survive. Every call is relative to an open folder, so that no path is looked up twice.
/// </summary>
internal static unsafe partial class Libc
{
    public const int ReadOnly = 0, WriteOnly = 1, ReadWrite = 2;
    public const int Create = 0x40, Exclusive = 0x80, NonBlocking = 0x800, Directory = 0x10000, NoFollow = 0x20000;
    public const int CloseOnExec = 0x80000, PathOnly = 0x200000;
    public const int CurrentDirectory = -100, SymlinkNoFollow = 0x100, RemoveDirectory = 0x200, EmptyPath = 0x1000;
    public const int SeekData = 3, SeekHole = 4;
    public const int Enoent = 2, Eintr = 4, Eio = 5, Enxio = 6, Eagain = 11, Enomem = 12, Eacces = 13, Eexist = 17, Exdev = 18, Enotdir = 20,
        Eisdir = 21, Einval = 22, Enospc = 28, Enametoolong = 36, Eloop = 40, Edquot = 122, Esrch = 3, Eperm = 1;
    public const int SigKill = 9;
    private const uint BasicStats = 0x7ff;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int openat(int directory, byte* name, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint getdents64(int directory, byte* buffer, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int statx(int directory, byte* name, int flags, uint mask, Statx* result);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint readlinkat(int directory, byte* name, byte* buffer, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int symlinkat(byte* target, int directory, byte* name);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int mkdirat(int directory, byte* name, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int unlinkat(int directory, byte* name, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchmod(int file, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchownat(int directory, byte* name, uint user, uint group, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(int file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int pid, int signal);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int umount2(byte* path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int chown(byte* path, uint user, uint group);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int syncfs(int file);

    public static void SyncFileSystem(SafeFileHandle file) => Check("syncfs", syncfs(Number(file)));

    public static SafeFileHandle Open(int directory, ReadOnlySpan<byte> name, int flags, uint mode = 0)
    {
        var handle = TryOpen(directory, name, flags, mode, out var error);
        return handle ?? throw new NativeException("open", error);
    }

    public static SafeFileHandle? TryOpen(int directory, ReadOnlySpan<byte> name, int flags, uint mode, out int error)
    {
        int fd;
        fixed (byte* n = Terminated(name))
        {
            do
            {
                fd = openat(directory, n, flags | CloseOnExec, mode);
                error = fd < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (error == Eintr);
        }

        return fd < 0 ? null : new SafeFileHandle(fd, ownsHandle: true);
    }

    /// <summary>A folder below an open one; never over a link.</summary>
    public static SafeFileHandle OpenFolder(SafeFileHandle parent, ReadOnlySpan<byte> name) =>
        Open(Number(parent), name, ReadOnly | Directory | NoFollow);

    /// <summary>The names in a folder, without <c>.</c> and <c>..</c>, in no order. The handle must be at its start.</summary>
    public static List<byte[]> Names(SafeFileHandle directory, int most)
    {
        var names = new List<byte[]>();
        var buffer = stackalloc byte[32 << 10];
        while (true)
        {
            var length = getdents64(Number(directory), buffer, 32 << 10);
            if (length < 0)
                throw new NativeException("getdents64", Marshal.GetLastPInvokeError());
            if (length == 0)
                return names;
            for (nint at = 0; at < length;)
            {
                // struct linux_dirent64: u64 inode, s64 offset, u16 record length, u8 type, name
                var record = *(ushort*)(buffer + at + 16);
                var name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(buffer + at + 19);
                if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                    names.Add(name.ToArray());
                at += record;
            }

            if (names.Count > most)
                return names;
        }
    }

    /// <summary>Never follows a link. <c>null</c> where there is no such name.</summary>
    public static Statx? Stat(SafeFileHandle directory, ReadOnlySpan<byte> name)
    {
        Statx result;
        fixed (byte* n = Terminated(name))
        {
            if (statx(Number(directory), n, SymlinkNoFollow, BasicStats, &result) == 0)
                return result;
        }

        var error = Marshal.GetLastPInvokeError();
        return error == Enoent ? null : throw new NativeException("statx", error);
    }

    public static Statx Stat(SafeFileHandle file)
    {
        Statx result;
        byte empty = 0;
        if (statx(Number(file), &empty, EmptyPath, BasicStats, &result) != 0)
            throw new NativeException("statx", Marshal.GetLastPInvokeError());
        return result;
    }

    public static byte[] ReadLink(SafeFileHandle directory, ReadOnlySpan<byte> name)
    {
        var buffer = stackalloc byte[4096];
        fixed (byte* n = Terminated(name))
        {
            var length = readlinkat(Number(directory), n, buffer, 4096);
            if (length < 0)
                throw new NativeException("readlinkat", Marshal.GetLastPInvokeError());
            return new ReadOnlySpan<byte>(buffer, (int)length).ToArray();
        }
    }

    public static void Link(ReadOnlySpan<byte> target, SafeFileHandle directory, ReadOnlySpan<byte> name)
    {
        fixed (byte* t = Terminated(target))
        fixed (byte* n = Terminated(name))
            Check("symlinkat", symlinkat(t, Number(directory), n));
    }

    public static void MakeDirectory(SafeFileHandle directory, ReadOnlySpan<byte> name)
    {
        fixed (byte* n = Terminated(name))
            Check("mkdirat", mkdirat(Number(directory), n, 0x1c0));
    }

    public static void Unlink(SafeFileHandle directory, ReadOnlySpan<byte> name, bool isDirectory)
    {
        fixed (byte* n = Terminated(name))
            Check("unlinkat", unlinkat(Number(directory), n, isDirectory ? RemoveDirectory : 0));
    }

    public static void ChangeMode(SafeFileHandle file, uint mode) => Check("fchmod", fchmod(Number(file), mode));

    /// <summary>Of the name itself, also where it is a link.</summary>
    public static void ChangeOwner(SafeFileHandle directory, ReadOnlySpan<byte> name, uint user)
    {
        fixed (byte* n = Terminated(name))
            Check("fchownat", fchownat(Number(directory), n, user, user, SymlinkNoFollow));
    }

    public static void ChangeOwner(string path, uint user)
    {
        fixed (byte* n = Terminated(System.Text.Encoding.UTF8.GetBytes(path)))
            Check("chown", chown(n, user, user));
    }

    /// <summary>Where data begins at or after the offset, or <c>null</c> where only a hole follows.</summary>
    public static long? NextData(SafeFileHandle file, long offset)
    {
        var found = lseek(Number(file), offset, SeekData);
        if (found >= 0)
            return found;
        var error = Marshal.GetLastPInvokeError();
        return error == Enxio ? null : throw new NativeException("lseek", error);
    }

    /// <summary>What a file takes on its disk, holes not counted.</summary>
    public static long AllocatedBytes(string path)
    {
        using var file = File.OpenHandle(path);
        return (long)Stat(file).Blocks * 512;
    }

    /// <summary>Answers whether the process was there.</summary>
    public static bool Kill(int pid) => SendSignal(pid, SigKill) == 0;

    /// <summary>Lazily: it is gone from the tree at once. Whether it is gone shows in the next list.</summary>
    public static void Unmount(string path)
    {
        fixed (byte* n = Terminated(System.Text.Encoding.UTF8.GetBytes(path)))
            _ = umount2(n, 2);
    }

    public static int Number(SafeFileHandle handle) => (int)handle.DangerousGetHandle();

    private static byte[] Terminated(ReadOnlySpan<byte> name)
    {
        var terminated = new byte[name.Length + 1];
        name.CopyTo(terminated);
        return terminated;
    }

    private static void Check(string call, int result)
    {
        if (result != 0)
            throw new NativeException(call, Marshal.GetLastPInvokeError());
    }
}

/// <summary>A system call's error; turned into a <see cref="Contracts.Failure"/> where the operation is known.</summary>
internal sealed class NativeException(string call, int error)
    : IOException($"{call}: {Marshal.GetPInvokeErrorMessage(error)}")
{
    public int Error { get; } = error;
}

/// <summary>struct statx of the kernel: the same on every architecture, unlike struct stat.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct Statx
{
    [FieldOffset(20)] public uint User;
    [FieldOffset(28)] public ushort Mode;
    [FieldOffset(32)] public ulong Inode;
    [FieldOffset(40)] public ulong Size;
    [FieldOffset(48)] public ulong Blocks;
    [FieldOffset(96)] private long _changedSeconds;
    [FieldOffset(104)] private uint _changedNanoseconds;
    [FieldOffset(112)] private long _modifiedSeconds;
    [FieldOffset(120)] private uint _modifiedNanoseconds;

    public readonly long Changed => _changedSeconds * 1_000_000_000 + _changedNanoseconds;

    public readonly long Modified => _modifiedSeconds * 1_000_000_000 + _modifiedNanoseconds;

    public readonly int Kind => Mode & 0xf000;

    public readonly ushort Permissions => (ushort)(Mode & 0xfff);

    public const int RegularFile = 0x8000, Folder = 0x4000, SymbolicLink = 0xa000;
}
