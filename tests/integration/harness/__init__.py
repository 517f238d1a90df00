"""What the integration tests share: servers, clients, readers of the receiver's files.

Only Python's standard library is used. Everything a test makes lies in one temporary directory and
listens on loopback; both are gone when the test program ends, however it ends.

What a test program takes from its environment, all of it optional:

FLUIDHOOK                the command under test; else the one in top_builddir or build/
FLUIDHOOK_FCGI           the receiver under test; else the one in top_builddir or build/
FLUIDHOOK                the command under test; else the one there
top_srcdir               where nginx/, apache/ and examples/ are
FLUIDHOOK_TEST_ONLY      run only the tests whose name has this text in it
FLUIDHOOK_TEST_LIMIT     seconds after which the program gives up (1800)
FLUIDHOOK_TEST_SECONDS   how long each test under load lasts (3)
FLUIDHOOK_TEST_KILLS     how often the worker is killed (30), and
FLUIDHOOK_TEST_SEED      at which moments (others every time)
FLUIDHOOK_TEST_BACK_MS   within how many milliseconds service has to be back after a crash (1000)
"""
