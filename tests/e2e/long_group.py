"""An instance that stays held, with the protocol of KIP-848: whoever wants its place waits for a minute and ends."""
import unittest

import members


class Held(members.Members):
    def test_of_two_with_one_instance_the_newer_ends(self):
        older, newer = self.two_of_one("consumer")
        self.ends_fenced(newer, 100)
        self.assertIsNone(older.process.poll(), older.log_tail())
        self.finish("a")


if __name__ == "__main__":
    unittest.main()
