using System.Globalization;
using System.Text;

namespace Caisson.Sandboxes.MicroVm;

/// <summary>
/// The first file system of a machine: the guest agent as /init and the kernel's modules. Made here and not by a tool, so
/// that the agent inside is always the one of this server. A cpio archive in the "newc" format.
/// </summary>
internal static class Initramfs
{
    private const uint Folder = 0x4000 | 0x1ED, Program = 0x8000 | 0x1ED;

    public static byte[] Of(string guest, IEnumerable<string> modules) =>
        Write(File.ReadAllBytes(guest), modules.Select(m => (Path.GetFileName(m), File.ReadAllBytes(m))));

    internal static byte[] Write(byte[] guest, IEnumerable<(string Name, byte[] Content)> modules)
    {
        using var archive = new MemoryStream();
        var inode = 0;
        Add("init", Program, guest);
        Add("modules", Folder, []);
        foreach (var (name, content) in modules)
            Add($"modules/{name}", Program, content);
        Add("TRAILER!!!", 0, []);
        return archive.ToArray();

        void Add(string name, uint mode, byte[] content)
        {
            var title = Encoding.ASCII.GetBytes(name + "\0");
            // inode, mode, uid, gid, links, time, size, four device numbers, size of the name, check
            uint[] fields = [(uint)++inode, mode, 0, 0, 1, 0, (uint)content.Length, 0, 0, 0, 0, (uint)title.Length, 0];
            archive.Write("070701"u8);
            foreach (var field in fields)
                archive.Write(Encoding.ASCII.GetBytes(field.ToString("X8", CultureInfo.InvariantCulture)));
            archive.Write(title);
            Pad();
            archive.Write(content);
            Pad();
        }

        void Pad()
        {
            while (archive.Length % 4 != 0)
                archive.WriteByte(0);
        }
    }
}
