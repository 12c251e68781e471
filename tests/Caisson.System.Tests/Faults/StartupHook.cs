#pragma warning disable CA1050, IDE0130 // The runtime looks for this very name.

/// <summary>
/// Runs in a server under test before its first line, where DOTNET_STARTUP_HOOKS names this assembly. When the file that
/// STARVE_POOL names appears, it takes the file away and gives every thread of the pool work that never ends.
/// </summary>
internal static class StartupHook
{
    public static void Initialize()
    {
        // The supervisor is no server.
        if (Environment.GetEnvironmentVariable("STARVE_POOL") is not { Length: > 0 } file || Environment.GetEnvironmentVariable("CAISSON_SUPERVISED") is null)
            return;
        new Thread(() => Watch(file)) { IsBackground = true, Name = "starve" }.Start();
    }

    private static void Watch(string file)
    {
        using var look = new ManualResetEvent(false);
        while (!File.Exists(file))
            look.WaitOne(20);
        File.Delete(file);
        ThreadPool.GetMinThreads(out var threads, out _);
        ThreadPool.SetMaxThreads(threads, threads);
        for (var i = 0; i < 100 * threads; i++)
            ThreadPool.UnsafeQueueUserWorkItem(_ => new ManualResetEvent(false).WaitOne(), null);
    }
}
