using Microsoft.AspNetCore.Http;

namespace Caisson.Server.Copying;

/// <summary>A request's body on disk: one of its largest size has no place in memory, and an archive is read twice.</summary>
internal static class Spooled
{
    /// <returns>The body, from its beginning, in a file that goes when it is closed; <c>null</c> where it is larger than <paramref name="most"/>.</returns>
    internal static async Task<FileStream?> TakeAsync(HttpContext http, long most)
    {
        var body = new FileStream(Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.None, bufferSize: 64 * 1024, FileOptions.DeleteOnClose | FileOptions.Asynchronous);
        try
        {
            var buffer = new byte[64 * 1024];
            while (await http.Request.Body.ReadAsync(buffer, http.RequestAborted) is > 0 and var count)
            {
                if (body.Length + count > most)
                {
                    await body.DisposeAsync();
                    return null;
                }

                await body.WriteAsync(buffer.AsMemory(0, count), http.RequestAborted);
            }

            body.Position = 0;
            return body;
        }
        catch
        {
            await body.DisposeAsync();
            throw;
        }
    }
}
